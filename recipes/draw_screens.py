"""Pictures like screenshots, to train on: pages, chats, terminals, charts, drawn at random.

    python recipes/draw_screens.py OUT [--count N] [--side PIXELS] [--fonts FOLDER] [--photos PATH]

Writes PNG files into OUT; name that folder in a recipe's `data`. Crops are drawn in proportion to
area, so N pictures of 512 x 512 among 1,800 such photographs are N / (N + 1,800) of the training.

The text is what Python's own help says; fonts are Pillow's two and, with --fonts, the TrueType
fonts of a folder (DejaVu, for one, has serifs and a fixed pitch, which Pillow's lack). Photographs
stand on some pages: of --photos, which takes what `data` takes.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from PIL import Image, ImageDraw, ImageFont

from quantal.train.data import read_pictures

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

#: Pillow's font of full pixels has no more letters than these.
_TEXT = "\n".join(topics.values()).encode("ascii", "ignore").decode()
_LINES = [line for line in _TEXT.splitlines() if line.strip()]
_WORDS = " ".join(_LINES).split()
_SERIF, _FIXED = "Serif", "Mono"


@dataclass
class Theme:
    """What the parts of one screen have in common."""

    paper: Colour
    panel: Colour
    ink: Colour
    faint: Colour
    accent: Colour
    #: Of ordinary text, in pixels; a screen of many dots an inch has large ones.
    size: int
    family: str
    #: Whether text is drawn in full pixels, without grey ones, as before the turn of the century.
    hard: bool
    #: Corners of buttons and windows.
    radius: int


class Screen:
    """One picture being drawn."""

    def __init__(self, rng: random.Random, side: int, fonts: Sequence[Path]) -> None:
        self.rng, self.fonts = rng, fonts
        self.theme = _theme(rng)
        self.image = Image.new("RGB", (side, side), self.theme.paper)
        self.draw = ImageDraw.Draw(self.image)
        if self.theme.hard:
            self.draw.fontmode = "1"

    def font(self, size: int, family: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        own = [path for path in self.fonts if (family or self.theme.family) in path.stem]
        if self.rng.random() < 0.6:  # most text is neither bold nor slanted
            own = [path for path in own if "Bold" not in path.stem and "ique" not in path.stem]
        if own:
            return ImageFont.truetype(self.rng.choice(own), size)
        if self.theme.hard and size < 14:
            return ImageFont.load_default_imagefont()
        return ImageFont.load_default(size)

    def words(self, least: int, most: int) -> str:
        start = self.rng.randrange(len(_WORDS) - most)
        return " ".join(_WORDS[start : start + self.rng.randint(least, most)])

    def paragraph(self, box: Box, size: int, ink: Colour, words: int) -> int:
        """Text from the top of a box on, some words of it links; returns where it ended."""
        left, top, right, bottom = box
        font, pace = self.font(size), round(size * self.rng.uniform(1.15, 1.7))
        x, y = float(left), top
        start = self.rng.randrange(len(_WORDS) - words)
        for word in _WORDS[start : start + words]:
            width = self.draw.textlength(word + " ", font=font)
            if x + width > right and x > left:
                x, y = left, y + pace
            if y + size > bottom:
                break
            linked = self.rng.random() < 0.04
            self.draw.text((x, y), word, self.theme.accent if linked else ink, font)
            x += width
        return y + pace

    # -- whole panels -----------------------------------------------------------------------

    def page(self, box: Box) -> None:
        """Headings and paragraphs, as of an article."""
        theme, (left, top, right, bottom) = self.theme, box
        margin = theme.size
        y = top + margin
        while y < bottom - 2 * margin:
            if self.rng.random() < 0.3:
                size = round(theme.size * self.rng.uniform(1.3, 2.2))
                self.draw.text((left + margin, y), self.words(1, 4), theme.ink, self.font(size))
                y += round(size * 1.5)
                self.draw.line((left + margin, y - 4, right - margin, y - 4), theme.faint)
            inner = (left + margin, y, right - margin, bottom - margin)
            y = self.paragraph(inner, theme.size, theme.ink, self.rng.randint(10, 90)) + margin // 2

    def chat(self, box: Box) -> None:
        theme, (left, top, right, bottom) = self.theme, box
        y = top + theme.size
        while y < bottom - 3 * theme.size:
            text = self.words(1, 6)
            font = self.font(theme.size)
            width = round(self.draw.textlength(text, font=font)) + 2 * theme.size
            mine = self.rng.random() < 0.5
            x = max(right - width - theme.size, left) if mine else left + theme.size
            height = round(theme.size * 2.2)
            shape = (x, y, x + width, y + height)
            self.draw.rounded_rectangle(shape, height // 2, theme.accent if mine else theme.panel)
            ink = theme.paper if mine else theme.ink
            self.draw.text((x + theme.size, y + theme.size // 2), text, ink, font)
            y += height + self.rng.randint(4, theme.size * 2)

    def terminal(self, box: Box) -> None:
        theme, (left, top, right, bottom) = self.theme, box
        back = self.rng.choice([(0, 0, 0), (30, 30, 30), (40, 44, 52), (0, 43, 54), theme.paper])
        self.draw.rectangle(box, back)
        ink = (220, 220, 220) if sum(back) < 380 else (20, 20, 20)
        inks = [ink, ink, ink, *(_bright(self.rng) for _ in range(3))]
        font = self.font(theme.size, _FIXED)
        pitch = max(self.draw.textlength("m", font=font), 1)
        for y in range(top + 4, bottom - theme.size, round(theme.size * 1.25)):
            if self.rng.random() < 0.12:
                continue
            colour, x = self.rng.choice(inks), float(left + 6)
            for letter in self.rng.choice(_LINES):
                if letter == " " and self.rng.random() < 0.15:
                    colour = self.rng.choice(inks)
                if x + pitch > right:
                    break
                self.draw.text((x, y), letter, colour, font)
                x += pitch

    def controls(self, box: Box) -> None:
        """Rows of labels with a button, box, slider or field each."""
        theme, (left, top, right, bottom) = self.theme, box
        self.draw.rectangle(box, theme.panel)
        font, row = self.font(theme.size), round(theme.size * self.rng.uniform(1.8, 3.2))
        middle = (left + right) // 2
        for y in range(top + theme.size // 2, bottom - row, row):
            self.draw.text((left + theme.size, y), self.words(1, 2), theme.ink, font)
            height, kind = round(theme.size * 1.5), self.rng.randrange(5)
            x = middle + self.rng.randint(0, theme.size)
            if kind == 0:
                label = self.words(1, 1)
                width = round(self.draw.textlength(label, font=font)) + 2 * theme.size
                self.button((x, y, x + width, y + height))
                self.draw.text((x + theme.size, y + 2), label, theme.ink, font)
            elif kind == 1:
                self.draw.rectangle((x, y, x + theme.size, y + theme.size), theme.paper, theme.ink)
                if self.rng.random() < 0.5:
                    low = y + theme.size - 3
                    tick = [(x + 2, y + theme.size // 2), (x + theme.size // 2, low)]
                    self.draw.line([*tick, (x + theme.size, y)], theme.accent, 2)
            elif kind == 2 and right - theme.size > x:
                at = self.rng.randint(x, right - theme.size)
                line = y + theme.size // 2
                self.draw.line((x, line, right - theme.size, line), theme.faint, 3)
                self.draw.line((x, line, at, line), theme.accent, 3)
                self.draw.ellipse((at - 6, line - 6, at + 6, line + 6), theme.ink)
            elif kind == 3 and right - theme.size > x:
                self.draw.rectangle(
                    (x, y, right - theme.size, y + height), theme.paper, theme.faint
                )
                self.draw.text((x + 4, y + 2), self.words(1, 1)[:12], theme.faint, font)
            if self.rng.random() < 0.3:
                self.draw.line((left, y + row - 3, right, y + row - 3), theme.faint)

    def button(self, box: Box) -> None:
        """Flat, or raised by two bright and two dark edges."""
        theme, (left, top, right, bottom) = self.theme, box
        if not theme.hard:
            self.draw.rounded_rectangle(box, theme.radius, theme.panel, theme.faint)
            return
        self.draw.rectangle(box, (192, 192, 192), (0, 0, 0))
        self.draw.line((left, bottom, left, top, right, top), (255, 255, 255))
        self.draw.line(
            (left + 1, bottom - 1, right - 1, bottom - 1, right - 1, top + 1), (128,) * 3
        )

    def chart(self, box: Box) -> None:
        theme, (left, top, right, bottom) = self.theme, box
        font, pad = self.font(max(theme.size - 3, 8)), 2 * theme.size
        if right - left < 4 * pad or bottom - top < 4 * pad:
            return
        for step in range(5):
            y = top + pad + step * (bottom - top - 2 * pad) // 4
            self.draw.line((left + pad, y, right - pad, y), theme.faint)
            self.draw.text((left + 2, y - 6), str(self.rng.randint(-90, 90)), theme.ink, font)
        for _ in range(self.rng.randint(1, 4)):
            colour, y = _bright(self.rng), self.rng.randint(top + pad, bottom - pad)
            points = []
            for x in range(left + pad, right - pad, self.rng.randint(6, 40)):
                points.append((x, y))
                y = min(max(y + self.rng.randint(-15, 15), top + pad), bottom - pad)
            self.draw.line(points, colour, self.rng.choice([1, 2, 3]))
            if self.rng.random() < 0.5:
                for x, y in points:
                    self.draw.rectangle((x - 2, y - 2, x + 2, y + 2), colour)
        self.draw.text((left + pad, top + 4), self.words(2, 5), theme.ink, self.font(theme.size))

    def table(self, box: Box) -> None:
        theme, (left, top, right, bottom) = self.theme, box
        font, row = self.font(theme.size), round(theme.size * 1.7)
        column = self.rng.randint(4, 12) * theme.size
        for number, y in enumerate(range(top, bottom - row, row)):
            if number % 2:
                self.draw.rectangle((left, y, right, y + row), theme.panel)
            for x in range(left, right - column // 2, column):
                room = max(column // theme.size, 2)
                text = self.words(1, 2)[:room] if self.rng.random() < 0.5 else str(number * 37)
                self.draw.text((x + 4, y + 2), text, theme.ink, font)
        if self.rng.random() < 0.5:
            for x in range(left, right, column):
                self.draw.line((x, top, x, bottom), theme.faint)

    def icons(self, box: Box) -> None:
        """A grid of small pictures: shapes in few colours, some of them pixel by pixel."""
        theme, (left, top, right, bottom) = self.theme, box
        side = self.rng.choice([16, 24, 32, 48])
        for y in range(top + 4, bottom - side, side + self.rng.randint(4, 24)):
            for x in range(left + 4, right - side, side + self.rng.randint(4, 24)):
                if self.rng.random() < 0.5:
                    tiny = Image.new("P", (16, 16))
                    tiny.putpalette([self.rng.randrange(256) for _ in range(12)])
                    half = [[self.rng.randrange(4) for _ in range(8)] for _ in range(16)]
                    tiny.putdata([level for line in half for level in (*line, *line[::-1])])
                    icon = tiny.convert("RGB").resize((side, side), Image.Resampling.NEAREST)
                    self.image.paste(icon, (x, y))
                else:
                    shape = self.rng.choice([self.draw.ellipse, self.draw.rectangle])
                    shape((x, y, x + side, y + side), _bright(self.rng))
                    self.draw.line((x + 4, y + side // 2, x + side - 4, y + 4), theme.paper, 2)


def _theme(rng: random.Random) -> Theme:
    hard = rng.random() < 0.2
    dark = rng.random() < 0.45 and not hard
    grey = rng.randint(0, 45) if dark else rng.choice([255, 255, 250, 240, 192])
    tint = [rng.randint(-6, 12) for _ in range(3)] if rng.random() < 0.5 else [0, 0, 0]

    def shade(level: int) -> Colour:
        red, green, blue = (min(max(level + extra, 0), 255) for extra in tint)
        return red, green, blue

    panel = shade(grey + rng.randint(10, 40)) if dark else shade(grey - rng.randint(5, 35))
    ink = shade(rng.randint(200, 255)) if dark else shade(rng.randint(0, 60))
    return Theme(
        paper=shade(grey),
        panel=(192, 192, 192) if hard else panel,
        ink=(0, 0, 0) if hard else ink,
        faint=shade((grey + (230 if dark else 90)) // 2),
        accent=_bright(rng),
        size=rng.randint(10, 13) if hard else rng.choice([11, 12, 13, 14, 16, 20, 26, 32]),
        family=rng.choice(["Sans", "Sans", "Sans", _SERIF, _FIXED, "none: Pillow's own", "none"]),
        hard=hard,
        radius=rng.choice([0, 4, 8, 14]),
    )


def _bright(rng: random.Random) -> Colour:
    return (
        rng.choice([(0, 95, 215), (10, 132, 255), (200, 30, 30), (0, 128, 0), (255, 0, 110)])
        if (rng.random() < 0.5)
        else (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    )


def _window(screen: Screen, box: Box) -> Box:
    """A title bar; returns what is left below it."""
    theme, (left, top, right, _) = screen.theme, box
    height = round(theme.size * 1.9)
    bar = (0, 0, 128) if theme.hard else theme.panel
    screen.draw.rectangle(box, theme.paper, theme.faint)
    screen.draw.rectangle((left, top, right, top + height), bar)
    ink = (255, 255, 255) if theme.hard else theme.ink
    screen.draw.text(
        (left + 2 * theme.size, top + 4), screen.words(1, 4), ink, screen.font(theme.size)
    )
    for place in range(3):
        x = right - (place + 1) * height
        if x <= left:
            break
        if theme.hard:
            screen.button((x + 2, top + 3, x + height - 2, top + height - 3))
        else:
            screen.draw.ellipse(
                (x + 5, top + 5, x + height - 5, top + height - 5), _bright(screen.rng)
            )
    return left + 1, top + height + 1, right - 1, box[3] - 1


def _divide(rng: random.Random, box: Box, least: int) -> list[Box]:
    """Cut a box in two, again and again, until parts are small or chance says so."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if max(width, height) < 2 * least or rng.random() < 0.25:
        return [box]
    if width > height:
        cut = rng.randint(left + width // 4, right - width // 4)
        halves = [(left, top, cut, bottom), (cut, top, right, bottom)]
    else:
        cut = rng.randint(top + height // 4, bottom - height // 4)
        halves = [(left, top, right, cut), (left, cut, right, bottom)]
    return [part for half in halves for part in _divide(rng, half, least)]


def _gradient(screen: Screen, box: Box) -> None:
    width, height = box[2] - box[0], box[3] - box[1]
    ramp = Image.linear_gradient("L").resize((width, height)).rotate(screen.rng.choice([0, 180]))
    colours = [Image.new("RGB", (width, height), _bright(screen.rng)) for _ in range(2)]
    screen.image.paste(Image.composite(*colours, ramp), box[:2])


def draw_screen(
    seed: int, side: int, fonts: Sequence[Path] = (), photos: Sequence[Image.Image] = ()
) -> Image.Image:
    """One picture of side x side pixels; the same arguments draw the same picture."""
    rng = random.Random(seed)
    screen = Screen(rng, side, fonts)
    kinds: list[Callable[[Box], None]] = [
        *(screen.page,) * 8,
        *(screen.terminal,) * 4,
        *(screen.chat,) * 2,
        *(screen.controls,) * 3,
        *(screen.chart,) * 2,
        *(screen.table,) * 2,
        screen.icons,
        lambda _: None,  # much of a screen is empty
    ]

    def photo(box: Box) -> None:
        source = rng.choice(photos)
        width, height = min(box[2] - box[0], source.width), min(box[3] - box[1], source.height)
        x, y = rng.randint(0, source.width - width), rng.randint(0, source.height - height)
        screen.image.paste(source.crop((x, y, x + width, y + height)), box[:2])

    for box in _divide(rng, (0, 0, side, side), side // 4):
        inner = _window(screen, box) if rng.random() < 0.3 else box
        left, top, right, bottom = inner
        if right - left < 40 or bottom - top < 40:
            continue
        chance = rng.random()
        if chance < 0.08:
            _gradient(screen, inner)
        elif chance < 0.2 and photos:
            photo(inner)
            continue
        elif chance < 0.3:
            screen.draw.rectangle(inner, screen.theme.panel)
        # A panel draws on a sheet of its own, so that nothing runs over its edge.
        whole = screen.image
        screen.image = whole.copy()
        screen.draw = ImageDraw.Draw(screen.image)
        screen.draw.fontmode = "1" if screen.theme.hard else "L"
        rng.choice(kinds)(inner)
        whole.paste(screen.image.crop(inner), inner[:2])
        screen.image, screen.draw = whole, ImageDraw.Draw(whole)
        screen.draw.fontmode = "1" if screen.theme.hard else "L"
    return screen.image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    fonts = sorted(options.fonts.rglob("*.ttf")) if options.fonts else []
    pixels = read_pictures(options.photos)[::20] if options.photos else []
    photos = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pixels]
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.count):
        screen = draw_screen(seed, options.side, fonts, photos)
        screen.save(options.out / f"screen-{seed:04}.png")


if __name__ == "__main__":
    main()
