"""One cache for connote and the real huggingface_hub: what one has fetched the other finds, without fetching it again."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import FILE, REPO
from hub import COMMIT, git_hash


def python(scene, code, **variables):
    """What code, with huggingface_hub imported as h, leaves in `answer`. It reads its variables once, so it is a process of its own."""
    code = f"import json, huggingface_hub as h\nREPO, FILE = {REPO!r}, {FILE!r}\n{code}\nprint(json.dumps(answer))"
    variables = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | variables
    done = subprocess.run([sys.executable, "-c", code], env=scene.environment(**variables), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SCAN = """
found = h.scan_cache_dir()
answer = {
    "warnings": [str(warning) for warning in found.warnings],
    "repos": {repo.repo_id: {
        "size": repo.size_on_disk,
        "refs": {ref: revision.commit_hash for ref, revision in repo.refs.items()},
        "files": sorted(file.file_name for revision in repo.revisions for file in revision.files),
    } for repo in found.repos},
}
"""


def test_what_connote_pulled_is_found_by_huggingface_hub(plain):
    path = plain.pulled()
    before = len(plain.hub.requests)
    answer = python(
        plain,
        "answer = [h.try_to_load_from_cache(REPO, FILE), h.hf_hub_download(REPO, FILE, local_files_only=True),"
        " h.hf_hub_download(REPO, FILE, revision='" + COMMIT + "', local_files_only=True),"
        " h.snapshot_download(REPO, local_files_only=True)]",
    )
    assert answer == [str(path), str(path), str(path), str(path.parent)]
    assert len(plain.hub.requests) == before
    scan = python(plain, SCAN)
    assert scan["warnings"] == []
    assert scan["repos"] == {REPO: {"size": len(plain.content), "refs": {"main": COMMIT}, "files": [FILE]}}


def test_huggingface_hub_does_not_fetch_it_again(plain):
    path = plain.pulled()
    assert len(plain.hub.contents_sent()) == 1
    assert python(plain, "answer = h.hf_hub_download(REPO, FILE)") == str(path)
    # The rest of the repository comes beside it.
    assert python(plain, "answer = h.snapshot_download(REPO)") == str(path.parent)
    assert (path.parent / "README.md").read_bytes() == b"a small file in git"
    assert len(plain.hub.contents_sent()) == 1
    assert python(plain, SCAN)["warnings"] == []


def test_what_huggingface_hub_fetched_connote_does_not_fetch_again(plain):
    path = python(plain, "answer = h.hf_hub_download(REPO, FILE)")
    assert len(plain.hub.contents_sent()) == 1
    assert plain.pull("--offline").stdout.strip() == path
    assert str(plain.pulled()) == path
    assert str(plain.pulled("--verify")) == path
    assert len(plain.hub.contents_sent()) == 1
    answer = plain.connote("embed", "a", "--model", f"{REPO}:Q8_0", "--offline")
    assert answer.returncode == 0, answer.stderr
    assert python(plain, SCAN)["warnings"] == []


def test_a_snapshot_of_huggingface_hub_is_a_model_here(plain):
    folder = python(plain, "answer = h.snapshot_download(REPO)")
    assert plain.pull("--offline").stdout.strip() == os.path.join(folder, FILE)
    plain.pulled()
    assert len(plain.hub.contents_sent()) == 1


def test_small_models_in_git_are_the_same_file_to_both(plain):
    plain.hub.large = len(plain.content) + 1
    path = plain.pulled()
    assert [blob.name for blob in plain.blobs()] == [git_hash(plain.content)]
    gets = len([method for _, method, *_ in plain.hub.requests if method == "GET"])
    assert python(plain, "answer = h.hf_hub_download(REPO, FILE)") == str(path)
    assert len([method for _, method, *_ in plain.hub.requests if method == "GET"]) == gets
    assert python(plain, SCAN)["warnings"] == []


def test_a_damaged_blob_is_found_by_verify_and_mended_for_both(plain):
    path = plain.pulled()
    blob = path.resolve()
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    assert str(plain.pulled("--verify")) == str(path)
    assert Path(python(plain, "answer = h.hf_hub_download(REPO, FILE, local_files_only=True)")).read_bytes() == plain.content
