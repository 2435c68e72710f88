"""The `openai` package for JavaScript: base64 by default, as Python's. Taken when node and npm are here."""

import json
import os
import subprocess

from vectors import TEXTS, assert_same, assert_sound, direct

SCRIPT = """
import OpenAI from 'openai';
const [url, texts] = [process.env.URL_V1, JSON.parse(process.env.TEXTS)];
const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
const byDefault = await client.embeddings.create({ model: 'm', input: texts });
const asFloat = await client.embeddings.create({ model: 'm', input: texts, encoding_format: 'float' });
const models = await client.models.list();
let error;
try { await client.embeddings.create({ model: 'm', input: [[1, 2]] }); } catch (e) { error = { name: e.constructor.name, status: e.status, message: e.message }; }
console.log(JSON.stringify({
  byDefault: byDefault.data.map((d) => Array.from(d.embedding)),
  asFloat: asFloat.data.map((d) => d.embedding),
  models: models.data.length, usage: byDefault.usage, error,
}));
"""


def test_openai_js(url, tmp_path):
    script = os.path.join(os.path.dirname(os.environ["CONNOTE_NODE_MODULES"]), "check.mjs")
    with open(script, "w") as file:
        file.write(SCRIPT)
    done = subprocess.run(
        ["node", script], capture_output=True, timeout=60,
        env={"PATH": os.environ["PATH"], "URL_V1": f"{url}/v1", "TEXTS": json.dumps(TEXTS)},
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert_sound(said["byDefault"], len(TEXTS), 384)
    assert_same(said["byDefault"], direct(url, TEXTS))
    assert_same(said["asFloat"], direct(url, TEXTS))
    assert said["models"] == 1
    assert said["usage"]["prompt_tokens"] == said["usage"]["total_tokens"] > 0
    assert said["error"]["name"] == "BadRequestError" and "token_ids" in said["error"]["message"]
