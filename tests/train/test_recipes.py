"""Recipes are typed: a wrong key or value is named, with what was expected."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from quantal.codecs import Family
from quantal.codecs.context.net import ContextConfig
from quantal.errors import ArgumentError, ModelError
from quantal.train import Phase, Recipe, build, make_recipe, read_recipe
from quantal.train.objectives.losses import DistortionSettings
from quantal.train.objectives.rate_distortion import RateDistortionSettings

RECIPES = Path(__file__).parents[2] / "recipes"
PLAIN: dict[str, Any] = {"codec": "context-s", "data": "pictures", "out": "run"}
HEADS = {"heads": "heads.pth"}


def test_sections_have_the_types_of_the_family():
    recipe = make_recipe(
        {**PLAIN, "model": {"channels": [8, 12, 16]}, "objective": {"distortion": {"ycbcr": 1}}}
    )
    assert recipe.model == ContextConfig(channels=(8, 12, 16))
    assert recipe.objective == RateDistortionSettings(DistortionSettings(ycbcr=1.0))
    assert recipe.data == ("pictures",)
    assert make_recipe(recipe.to_dict()) == recipe


def test_numbers_may_be_texts_of_yaml():
    recipe = make_recipe({**PLAIN, "learning_rate": "1e-3", "steps": "1e4"})
    assert (recipe.learning_rate, recipe.steps) == (0.001, 10_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rat": 1}, "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ({"distortion": "rgb"}, "did you mean 'objective.distortion'?"),
        ({"channels": [8, 8, 8]}, "did you mean 'model.channels'?"),
        ({"model": {"chanels": [8, 8, 8]}}, "did you mean 'model.channels'?"),
        ({"objective": {"middle_rate": 0.5}}, "did you mean 'objective.middle_rates'?"),
        ({"xyz": 1}, "unknown key 'xyz'; there are: codec, data, out, model, objective"),
        ({"betas": [0.9]}, "`betas` is [0.9], expected a list of 2 numbers, such as [0.9, 0.98]"),
        ({"betas": [0.9, "much"]}, "`betas[1]` is 'much', expected a number"),
        ({"betas": [0.9, 1.5]}, "below 1, not [0.9, 1.5]"),
        ({"steps": 2.5}, "`steps` is 2.5, expected a whole number"),
        ({"steps": True}, "`steps` is True, expected a whole number"),
        ({"steps": "60"}, "`steps` is '60', expected a whole number"),
        ({"learning_rate": "0.1"}, "`learning_rate` is '0.1', expected a number"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan, expected a number"),
        ({"minutes": float("inf")}, "`minutes` is inf, expected a number or null"),
        ({"out": ""}, "`out` is empty"),
        ({"steps": "60"}, "`steps` is '60', expected a whole number"),
        ({"learning_rate": "0.1"}, "`learning_rate` is '0.1', expected a number"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan, expected a number"),
        ({"minutes": float("inf")}, "`minutes` is inf, expected a number or null"),
        ({"out": ""}, "`out` is empty"),
        ({"minutes": "long"}, "`minutes` is 'long', expected a number or null"),
        ({"compile": "maybe"}, "`compile` is 'maybe', expected true or false"),
        ({"optimiser": "sgd"}, "`optimiser` is 'sgd', expected one of adamw, muon"),
        ({"model": {"kind": "round"}}, "expected one of gated, window, region"),
        ({"objective": {"evaluation_rates": [64]}}, "evaluation_rates are 0..63, not [64]"),
        ({"objective": 3}, "`objective` is 3, expected a mapping"),
        ({"phases": [{"until": 1.0, "crop": 64}]}, "missing keys: phases[0].batch"),
        ({"phases": [3]}, "`phases[0]` is 3, expected a mapping"),
        ({"phases": 3}, "`phases` is 3, expected a list of mappings"),
        ({"codec": "tokens"}, "missing keys: objective.heads"),
        ({"codec": "tokens", "objective": HEADS}, "multiples of 256 for 'tokens'; set `crop: 256`"),
        ({"codec": "vq-conceal", "objective": HEADS}, "set `start_from` to the weights of vq"),
        ({"codec": 3}, "`codec` is 3, expected a text"),
    ],
)
def test_wrong_keys_and_values_are_named(change, message):
    with pytest.raises(ArgumentError) as caught:
        make_recipe({**PLAIN, **change}, "mine.yaml")
    assert message in str(caught.value) and str(caught.value).startswith("mine.yaml: ")


def test_codecs_that_cannot_be_trained_are_named():
    with pytest.raises(ModelError, match=r"can't be trained; these families can: .*context"):
        make_recipe({**PLAIN, "codec": "compressai"})
    with pytest.raises(ModelError, match="no codec 'contexts'"):
        make_recipe({**PLAIN, "codec": "contexts"})


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ("nowhere:TRAINER", "can't be imported: No module named 'nowhere'"),
        ("quantal.train.recipe:TRAINER", "can't be imported"),
        ("quantal.train.recipe:Recipe", "is a type, expected a Trainer"),
    ],
)
def test_a_wrong_trainer_is_named(trainer, message, monkeypatch):
    family = Family("broken", "", (), trainer)
    monkeypatch.setattr("quantal.train.trainer.family_of", lambda name: family)
    with pytest.raises(ModelError, match=re.escape(message)):
        make_recipe({**PLAIN, "codec": "broken"})


def test_networks_are_built_from_the_same_sizes():
    changes: dict[str, Any] = {"channels": (8, 12, 16), "blocks": [1, 1, 1]}
    net = build("context-s", ContextConfig(order="places"), **changes)
    assert net.config == ContextConfig((8, 12, 16), (1, 1, 1), order="places")
    with pytest.raises(ArgumentError, match=r"did you mean 'model\.channels'"):
        build("context-s", chanels=(8, 12, 16))
    with pytest.raises(ArgumentError, match="`model` is 3"):
        build("context-s", 3)


@pytest.mark.skipif(not RECIPES.is_dir(), reason="recipes are not installed with the package")
@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_ship_can_be_read(path):
    recipe = read_recipe(path)
    assert path.stem.startswith(recipe.codec)
    assert recipe.start_from is None or "@" not in recipe.start_from
    for name in yaml.safe_load(path.read_text(encoding="utf-8")):
        assert hasattr(recipe, name)


@pytest.mark.skipif(not RECIPES.is_dir(), reason="recipes are not installed with the package")
def test_hyperprior_s_recipe_shows_every_key():
    values = yaml.safe_load((RECIPES / "hyperprior.yaml").read_text(encoding="utf-8"))
    recipe = read_recipe(RECIPES / "hyperprior.yaml")
    assert values.keys() == recipe.to_dict().keys()
    for section in ("model", "objective"):
        assert values[section].keys() == recipe.to_dict()[section].keys()


def test_phases_follow_the_run():
    recipe = make_recipe({**PLAIN, "phases": [
        {"until": 0.5, "crop": 64, "batch": 8}, {"until": 1, "crop": 128, "batch": 2}
    ]})  # fmt: skip
    assert recipe.phase(0.4) == Phase(0.5, 64, 8)
    assert recipe.phase(0.5) == recipe.phase(1.0) == Phase(1.0, 128, 2)


def test_numbers_of_numpy_are_numbers() -> None:
    phase = {"until": np.float32(1), "crop": np.int64(64), "batch": np.uint8(2)}
    numbers = {"steps": np.int32(9), "minutes": np.float64(2)}
    recipe = make_recipe({**PLAIN, **numbers, "phases": [phase]})
    assert (recipe.steps, recipe.minutes, recipe.phases) == (9, 2.0, (Phase(1.0, 64, 2),))
    assert json.loads(json.dumps(recipe.to_dict()))["steps"] == 9
    assert type(Phase(1.0, np.int64(64), np.int64(2)).crop) is int
    sizes = {"channels": np.array([8, 12, 16]), "blocks": [np.int8(1)] * 3}
    assert build("context-s", **sizes).config.channels == (8, 12, 16)
    for wrong in ("64", True, 64.5, None):
        with pytest.raises(ArgumentError, match="crop must be a whole number"):
            Phase(1.0, wrong, 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="steps must be a whole number, not '60'"):
        Recipe("hyperprior", ("a",), "run", steps="60")  # type: ignore[arg-type]
