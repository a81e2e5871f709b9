"""Additions to XMP packets of every shape."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from quantal import media
from quantal.media._xmp import texts_of, with_texts

from .test_beside import dataset, jpeg, resource, values

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


def packet(inner: str, attributes: str = "") -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>'
        f'<rdf:Description rdf:about="" {DC}{attributes}>{inner}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


TITLE = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{}</rdf:li></rdf:Alt></dc:title>"


@pytest.mark.parametrize(
    "xmp",
    [
        packet(TITLE.format("Apple"), ' dc:format="App"'),
        packet("<dc:source>App</dc:source>", ' dc:title="Apple"'),
        packet(TITLE.format("an App") + "<dc:source>App</dc:source>"),
    ],
)
def test_a_value_that_is_a_part_of_others_is_kept(xmp: bytes) -> None:
    added = with_texts(xmp, [("dc:title", "App")], [])
    assert added is not None
    assert texts_of(added) == [("dc:title", "App")]


@pytest.mark.parametrize(
    "xmp",
    [
        packet(TITLE.format("\n a &amp; b\n")),
        packet("", ' dc:title="a &amp; b"'),
        packet("", " dc:title = 'a &amp; b'"),
        packet("<dc:title>a &amp; b</dc:title>"),
    ],
)
def test_a_value_that_is_there_is_not_repeated(xmp: bytes) -> None:
    assert with_texts(xmp, [("dc:title", "a & b")], []) == xmp


@pytest.mark.parametrize("end", ["</dc:title>", "", 'dc:title="'])
def test_many_values_for_a_long_packet_take_no_quadratic_time(end: str) -> None:
    xmp = packet("<dc:title>" * 100_000 + end * 100_000)
    properties = [("dc:title", f"value {i}") for i in range(50_000)]
    added = with_texts(xmp, properties, properties)
    assert added is not None
    assert len(texts_of(added)) == 50_000


@pytest.mark.parametrize("subject", ["", "uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"])
def test_additions_describe_the_same_subject(subject: str) -> None:
    xmp = packet("").replace(b'rdf:about=""', f"rdf:about='{subject}'".encode())
    added = ElementTree.fromstring(with_texts(xmp, [("dc:title", "a title")], []) or b"")
    about = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
    assert [d.get(about) for d in added[0]] == [subject, subject]


def test_the_time_of_iptc_belongs_to_its_date() -> None:
    times = [dataset(60, b"101112+0200"), dataset(60, b"131415+0000")]
    record = b"".join([dataset(55, b"20200102"), *times, dataset(55, b"20210304"), times[0]])
    picture = media.read(jpeg((0xED, b"Photoshop 3.0\0" + resource(0x0404, record))))
    first, second = "2020-01-02T10:11:12+02:00", "2021-03-04T10:11:12+02:00"
    assert values(picture.xmp, "photoshop:DateCreated") == [f"{first}\n{second}"]
    assert texts_of(picture.xmp or b"") == [("IPTC 2:60", "131415+0000")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8"])
def test_packets_of_wide_characters_become_utf_8(encoding: str) -> None:
    text = packet(TITLE.format("Größe"), ' xmlns:tiff="t" tiff:Orientation="6"').decode()
    segment = b"http://ns.adobe.com/xap/1.0/\0" + text.encode(encoding)
    picture = media.read(jpeg((0xE1, segment), (0xFE, b"a comment")))
    assert picture.width == 6  # turned
    assert values(picture.xmp, "dc:title") == ["Größe"]
    assert values(picture.xmp, "exif:UserComment") == ["a comment"]
    assert b'tiff:Orientation="1"' in (picture.xmp or b"")


def test_rdf_may_have_another_prefix() -> None:
    xmp = packet(TITLE.format("Apple")).replace(b"rdf:", b"r:").replace(b"xmlns:rdf=", b"xmlns:r=")
    added = with_texts(xmp, [("dc:creator", "B")], [("note", "text")])
    assert values(added, "dc:creator") == ["B"]
    assert texts_of(added or b"") == [("note", "text")]
