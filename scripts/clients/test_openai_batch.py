"""OpenAI's Batch API through OpenAI's own package: files, batches, a kill in the middle."""

import json
import os
import signal
import time

import openai
import pytest

from serving import Server


def connect(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def request(name, text, **more):
    body = {"model": "any", "input": text, **more}
    return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body})


def upload(client, lines):
    return client.files.create(file=("requests.jsonl", "\n".join(lines).encode()), purpose="batch")


def begin(client, file, **more):
    return client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", **more)


def wait(client, batch, until=("completed", "failed", "cancelled")):
    end = time.monotonic() + 240
    while time.monotonic() < end:
        now = client.batches.retrieve(batch.id)
        if now.status in until:
            return now
        time.sleep(0.02)
    raise AssertionError(f"it never ends: {now}")


def rows(client, file):
    return [json.loads(line) for line in client.files.content(file).text.splitlines()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "batches"


@pytest.fixture
def batches(binary, folder):
    with Server(binary, "--batch-folder", folder) as started:
        yield connect(started)


def test_a_batch_from_upload_to_result(batches):
    texts = ["a cat on the mat", "a feline on a rug", ""]
    lines = [request(f"row-{i}", text) for i, text in enumerate(texts)]
    lines += [request("many", texts, encoding_format="base64"), "not JSON", request("long", "cat " * 2000)]
    file = upload(batches, lines)
    assert (file.object, file.purpose, file.filename, file.bytes) == (
        "file", "batch", "requests.jsonl", len("\n".join(lines)))
    batch = begin(batches, file, metadata={"night": "one"})
    assert (batch.object, batch.endpoint, batch.metadata) == ("batch", "/v1/embeddings", {"night": "one"})
    done = wait(batches, batch)
    assert done.status == "completed", done
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (6, 4, 2)
    output = {row["custom_id"]: row for row in rows(batches, done.output_file_id)}
    tokens = 0
    for name, text, form in [*((f"row-{i}", t, "float") for i, t in enumerate(texts)), ("many", texts, "base64")]:
        asked = batches.embeddings.with_raw_response.create(model="any", input=text, encoding_format=form)
        wanted = json.loads(asked.http_response.text)
        assert output[name]["error"] is None and output[name]["response"]["status_code"] == 200
        assert output[name]["response"]["body"] == wanted
        tokens += wanted["usage"]["total_tokens"]
    assert done.usage.total_tokens == done.usage.input_tokens == tokens
    bad, long = rows(batches, done.error_file_id)
    assert bad["response"] is None and bad["error"]["code"] == "invalid_json_line" and "line 5" in bad["error"]["message"]
    assert long["custom_id"] == "long" and long["response"]["status_code"] == 400
    assert long["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert batches.files.retrieve(done.output_file_id).purpose == "batch_output"


def test_lists_page_by_themselves(batches):
    file = upload(batches, [request("a", "a")])
    made = [begin(batches, file).id for _ in range(5)]
    assert [batch.id for batch in batches.batches.list(limit=2)] == made[::-1]
    assert file.id in [one.id for one in batches.files.list(purpose="batch")]
    for one in made:
        wait(batches, batches.batches.retrieve(one))
    assert batches.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        batches.files.retrieve(file.id)


def test_equal_ids_fail_and_are_told(batches):
    batch = begin(batches, upload(batches, [request("a", "a"), request("a", "b")]))
    done = wait(batches, batch)
    assert done.status == "failed"
    assert (done.errors.data[0].code, done.errors.data[0].line) == ("duplicate_custom_id", 2)


def test_cancel_keeps_what_is_done(batches):
    batch = begin(batches, upload(batches, [request(str(i), f"text {i} " * 40) for i in range(20_000)]))
    wait(batches, batch, until=("in_progress",))
    assert batches.batches.cancel(batch.id).status == "cancelling"
    done = wait(batches, batch)
    assert done.status == "cancelled" and done.request_counts.completed < 20_000


def test_a_file_goes_when_its_client_asked_for_it(batches):
    file = batches.files.create(
        file=("r.jsonl", b"{}"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.expires_at == file.created_at + 3600


def test_it_survives_a_kill(binary, folder):
    lines = [request(str(i), f"text {i} " + "of many words " * (i % 40)) for i in range(800)]
    kills = 0
    started = Server(binary, "--batch-folder", folder)
    client = connect(started)
    file = upload(client, lines)
    batch = begin(client, file)
    before = 0
    end = time.monotonic() + 240
    while True:
        now = client.batches.retrieve(batch.id)
        if now.status == "completed":
            break
        if now.status in ("failed", "cancelled", "expired") or time.monotonic() > end:
            started.process.kill()
            raise AssertionError(f"it does not complete: {now}")
        if kills < 3 and now.request_counts.completed > before:
            before = now.request_counts.completed
            os.kill(started.pid, signal.SIGKILL)
            started.process.wait()
            started = Server(binary, "--batch-folder", folder)
            client = connect(started)
            kills += 1
            assert client.batches.retrieve(batch.id).request_counts.completed >= before
        time.sleep(0.02)
    with started:
        assert kills > 0
        whole = wait(client, begin(client, file))
        # The lines' ids are those of the batch and the line: nothing else differs.
        own, other = batch.id.removeprefix("batch_"), whole.id.removeprefix("batch_")
        got = client.files.content(now.output_file_id).text
        assert got == client.files.content(whole.output_file_id).text.replace(other, own)
        assert now.request_counts.completed == 800


def test_without_a_folder_it_is_said_what_to_start(server):
    with pytest.raises(openai.NotFoundError, match="--batch-folder DIR"):
        upload(connect(server), [request("a", "a")])
