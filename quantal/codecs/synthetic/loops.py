"""The inner loops of the layer, compiled by Numba where it is installed, with equal results.

Fronts are short, so numpy spends most of its time on calls. All of this is in whole numbers: no
compiler and no processor makes a difference to what is read.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "count",
    "expect",
    "learn",
    "mix",
    "probabilities",
    "relate",
    "renew",
    "stretched",
    "teach",
]

_fast = njit(cache=True, nogil=True)


@_fast
def stretched(counts, contexts, table, out):
    """Write the stretched probabilities of contexts [n] to out [n]; see Counters."""
    for i in range(len(contexts)):
        ones = counts[2 * contexts[i] + 1]
        out[i] = table[ones * 4096 // (counts[2 * contexts[i]] + ones)]


@_fast
def probabilities(counts, contexts, out):
    """Write the probabilities of contexts [n] to out [n]; see Counters."""
    for i in range(len(contexts)):
        ones = counts[2 * contexts[i] + 1]
        out[i] = ones * 4096 // (counts[2 * contexts[i]] + ones)


@_fast
def count(counts, contexts, bits, most):
    """Count decisions [n] of contexts [k n]; see Counters.learn."""
    n = len(bits)
    for i in range(len(contexts)):
        counts[2 * contexts[i] + bits[i % n]] += 2
    halved = False
    for i in range(len(contexts)):
        zero = 2 * contexts[i]
        # Halved ones are negative until all are found: a context is halved once.
        if counts[zero] > 0 and counts[zero] + counts[zero + 1] > most:
            counts[zero] = -((counts[zero] >> 1) | 1)
            counts[zero + 1] = (counts[zero + 1] >> 1) | 1
            halved = True
    if halved:
        for i in range(len(contexts)):
            zero = 2 * contexts[i]
            counts[zero] = abs(counts[zero])


@_fast
def mix(weights, chosen, inputs, largest, out):
    """Write mixtures of inputs [I, n] to out [n]; see Mixer."""
    for i in range(len(chosen)):
        total = 0
        for j in range(len(inputs)):
            total += weights[chosen[i], j] * inputs[j, i]
        out[i] = min(max(total >> 16, -largest), largest)


@_fast
def teach(weights, steps, counts, chosen, inputs, errors, rate, together, largest):
    """Move weights; see Mixer.learn. steps and counts are as large as weights, and stay 0."""
    width = len(inputs)
    for i in range(len(chosen)):
        counts[chosen[i]] += 1
        for j in range(width):
            steps[chosen[i], j] += errors[i] * inputs[j, i]
    for i in range(len(chosen)):
        own = chosen[i]
        if counts[own]:
            share = max(counts[own], together)
            for j in range(width):
                moved = weights[own, j] + ((steps[own, j] * (rate * together) // share) >> 16)
                weights[own, j] = min(max(moved, -largest), largest)
                steps[own, j] = 0
            counts[own] = 0


@_fast
def expect(counts, new, table, contexts, at, nodes, shift, few, zeros, states, inputs):
    """Find the counters of decisions and write what they expect; see Residuals."""
    for j in range(len(contexts)):
        for i in range(len(at)):
            key = contexts[j, at[i]] + np.uint64(nodes[i]) * np.uint64(0xD6E8FEB86659FD93)
            key ^= key >> np.uint64(31)
            key *= np.uint64(0x9E3779B97F4A7C15)
            zero = np.int64((key >> shift) << np.uint64(1))
            n0, n1 = np.int64(counts[zero]), np.int64(counts[zero + 1])
            state = (j * few + n0) * few + n1 if n0 < few and n1 < few else -1
            if state < 0:
                chance = (n1 * 8192 + 4096) // (2 * (n0 + n1) + 2)
            else:
                ones = np.int64(new[2 * state + 1])
                chance = ones * 4096 // (new[2 * state] + ones)
            zeros[j, i], states[j, i], inputs[j, i] = zero, state, table[chance]


@_fast
def learn(counts, zeros, bits, most):
    """Count decisions [n] with counters [J, n]; see Residuals."""
    contexts, n = zeros.shape
    full = np.empty((contexts, n), np.bool_)
    faded = np.empty((contexts, n), np.uint16)
    any_full = False
    for j in range(contexts):
        for i in range(n):
            zero = zeros[j, i]
            full[j, i] = np.int64(counts[zero]) + np.int64(counts[zero + 1]) >= most
            any_full |= full[j, i]
    for j in range(contexts):
        for i in range(n):
            counts[zeros[j, i] + bits[i]] += np.uint16(1)
    for j in range(contexts):
        for i in range(n):
            faded[j, i] = counts[zeros[j, i] + 1 - bits[i]]
    for j in range(contexts):
        for i in range(n):
            if faded[j, i] > 4:
                counts[zeros[j, i] + 1 - bits[i]] = (faded[j, i] + np.uint16(4)) >> np.uint16(1)
    if any_full:
        for zero in np.unique(zeros.ravel()[full.ravel()]):
            counts[zero] >>= np.uint16(1)
            counts[zero + 1] >>= np.uint16(1)


@_fast
def relate(question, colours, first, second, states, around, shape, kinds, contexts, agreeing):
    """Write how what is known goes with colours [n]; see picture._Questions."""
    sources, n = first.shape
    for i in range(n):
        alike, relation = 0, 0
        for j in range(sources):
            if first[j, i] == -9:
                relation = 0
            elif first[j, i] == colours[i]:
                relation = 1
            else:
                relation = 2 if second[j, i] == colours[i] else 3
            alike += relation == 1 and j < sources - 1
            context = (question * sources + j) * 4 + relation
            contexts[j, i] = context * kinds + states[j, i]
        pattern = 0
        for j in range(len(around)):
            if around[j, i] == colours[i]:
                pattern |= 1 << j
        of_repeat = 1 if relation == 1 else 2 if relation == 3 else 0
        contexts[sources, i] = (question * 256 + pattern) * 4 + of_repeat
        contexts[sources + 1, i] = question * 4096 + (pattern & 63) * 64 + shape[i]
        agreeing[i] = min(alike, 3)


@_fast
def renew(slots, first, second, states, places, checks, colours, steady, calm):
    """Store colours [n] in slots [C, n]; see Slots.learn."""
    # All slots are as they were found: of equal contexts the last counts.
    contexts, n = first.shape
    for j in range(contexts):
        for i in range(n):
            state = states[j, i]
            run, missed = state >> 2, state & 3
            own = slots[places[j, i]]
            if first[j, i] == colours[i]:
                own[0], own[1] = first[j, i], second[j, i]
                missed = max(missed - 1, 0) if run >= calm else missed
                run = min(run + 1, 15)
            elif run >= steady:
                own[0], own[1] = first[j, i], colours[i]
                run, missed = run >> 2, min(missed + 1, 3)
            else:
                own[0], own[1] = colours[i], first[j, i]
                run, missed = 1, min(missed + 1, 3)
            own[2] = 4 if state == 0 else run * 4 + missed
            own[3] = checks[j, i]
