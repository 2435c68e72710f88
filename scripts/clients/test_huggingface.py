"""`huggingface_hub` InferenceClient against TEI's routes: it posts to the URL itself (/) or to /embed."""

import asyncio
import json

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from vectors import TEXTS, assert_same, assert_sound, direct, request

TOO_LONG = " ".join(f"word{i}" for i in range(400))


@pytest.fixture(params=["", "/", "/embed"])
def client(url, request):
    return InferenceClient(model=url + request.param, timeout=120)


def test_text_and_texts(client, url):
    one = client.feature_extraction(TEXTS[0])
    assert isinstance(one, np.ndarray) and one.shape == (1, 384) and one.dtype == np.float32
    assert_same(one, direct(url, TEXTS[:1]))
    many = client.feature_extraction(TEXTS)
    assert_sound(many, len(TEXTS), 384)
    assert_same(many, direct(url, TEXTS))


def test_base_url(url):
    assert_same(InferenceClient(base_url=url).feature_extraction(TEXTS), direct(url, TEXTS))


def test_normalize(url):
    client = InferenceClient(model=url)
    unit = client.feature_extraction(TEXTS, normalize=True)
    assert_same(unit, direct(url, TEXTS))
    raw = assert_sound(client.feature_extraction(TEXTS, normalize=False), len(TEXTS), 384, unit=False)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 1e-3).any(), "normalize=False gave unit vectors"
    assert np.abs(raw / lengths - unit).max() < 1e-6


def test_truncate_and_direction(recorder, url):
    client = InferenceClient(model=recorder.url)
    with pytest.raises(HfHubHTTPError) as caught:
        client.feature_extraction(TOO_LONG, truncate=False)
    assert caught.value.response.status_code == 413
    error = json.loads(caught.value.response.text)
    assert error["error_type"] == "Validation" and "256" in error["error"]
    with pytest.raises(HfHubHTTPError):
        client.feature_extraction(TOO_LONG)
    cut = client.feature_extraction(TOO_LONG, truncate=True)
    assert_sound(cut, 1, 384)
    # It sends TEI's "Left" and "Right" in lower case.
    right = client.feature_extraction(TOO_LONG, truncate=True, truncation_direction="right")
    assert json.loads(recorder.requests[-1][3])["truncation_direction"] == "right"
    assert_same(cut, right)
    left = client.feature_extraction(TOO_LONG, truncate=True, truncation_direction="left")
    assert_sound(left, 1, 384)
    assert (left != right).any()
    for spelt, wanted in (("Left", left), ("Right", right)):
        body = {"inputs": TOO_LONG, "truncate": True, "truncation_direction": spelt}
        status, _, data = request(url, "POST", "/embed", body)
        assert status == 200
        assert_same(json.loads(data), wanted)


def test_prompt_name(gemma):
    client = InferenceClient(model=gemma.url)
    found = client.feature_extraction(TEXTS, prompt_name="query")
    assert_sound(found, len(TEXTS), 768)
    assert_same(found, direct(gemma.url, TEXTS, task="query"))
    assert (found != client.feature_extraction(TEXTS)).any()
    with pytest.raises(HfHubHTTPError) as caught:
        client.feature_extraction(TEXTS, prompt_name="no such prompt")
    assert "no such prompt" in caught.value.response.text
    assert json.loads(caught.value.response.text)["error_type"]


def test_dimensions(gemma):
    found = InferenceClient(model=gemma.url).feature_extraction(TEXTS, dimensions=256)
    assert_sound(found, len(TEXTS), 256)
    assert_same(found, direct(gemma.url, TEXTS, dimensions=256))


def test_encoding_format_float_is_taken(url):
    """A field of the client that TEI does not know."""
    found = InferenceClient(model=url).feature_extraction(TEXTS, encoding_format="float")
    assert_same(found, direct(url, TEXTS))


def test_info_and_health(url):
    client = InferenceClient(model=url, provider="hf-inference")
    if hasattr(client, "get_endpoint_info"):
        info = client.get_endpoint_info()
        assert info["model_id"]
        assert info["max_input_length"] == 256
        assert info["version"]
    if hasattr(client, "health_check"):
        assert client.health_check() is True
    status, _, body = request(url, "GET", "/info")
    assert status == 200 and json.loads(body)["model_id"]


def test_key(key_server):
    assert_sound(InferenceClient(model=key_server.url, token="sk-first-key").feature_extraction("a"), 1)
    with pytest.raises(HfHubHTTPError) as caught:
        InferenceClient(model=key_server.url, token="sk-wrong").feature_extraction("a")
    assert caught.value.response.status_code == 401


def test_async(url):
    async def run():
        async with AsyncInferenceClient(model=url) as client:
            return await asyncio.gather(*(client.feature_extraction(text) for text in TEXTS))

    assert_same(np.concatenate(asyncio.run(run())), direct(url, TEXTS))
