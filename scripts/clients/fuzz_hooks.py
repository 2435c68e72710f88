"""What schemathesis cannot know by itself: bodies of JSON lines, good ones and bad ones among each other."""

import json

import schemathesis
from hypothesis import strategies as st

_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
_good = st.fixed_dictionaries({"text": _text}, optional={"id": st.one_of(st.integers(0, 1 << 53), _text), "title": _text})
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_text, inner, max_size=4)),
    max_leaves=8,
)
_line = st.one_of(
    _good.map(lambda row: json.dumps(row).encode()),
    _good.map(lambda row: json.dumps(row, ensure_ascii=False).encode()),
    _json.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
)

schemathesis.openapi.media_type(
    "application/x-ndjson",
    st.tuples(st.lists(_line, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\n\n"])).map(lambda t: t[1].join(t[0])),
)
