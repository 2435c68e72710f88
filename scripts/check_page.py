#!/usr/bin/env python3
"""Checks the page that `connote serve` gives at `/` in a real browser, against the real server.

    scripts/check_page.py http://127.0.0.1:8080 [--screenshots DIR] [--api-key KEY] [--chromium chromium]

Needs Debian's `chromium` (apt-get install -y chromium) and Python 3.10, nothing else: the DevTools protocol goes
through a pipe. What the page shows is compared with what this script gets from the same server, and what it does
with a slow or a broken server is checked by holding or failing its requests. Every wait is for something that the
page shows, and bounded. Prints a line a check; exit code 1 at the first that fails.
"""

import argparse, base64, fcntl, json, math, os, pathlib, select, shutil, signal, subprocess, sys, tempfile, time
import urllib.error, urllib.parse, urllib.request

WAIT = 60  # seconds for what takes milliseconds on an idle machine
CATS, BANK = (
    ["A cat sleeps on the warm windowsill.", "The kitten is napping in the sun."],
    "The bank raised its interest rates.",
)
EVIL = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'


class Failed(Exception):
    pass


def demand(truth, message):
    if not truth:
        raise Failed(message)


class Browser:
    """A tab of a headless chromium."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(prefix="check-page-", ignore_cleanup_errors=True)
        self.log = tempfile.TemporaryFile()
        to_child, self.writer = os.pipe()
        self.reader, from_child = os.pipe()
        flags = (
            "--headless --remote-debugging-pipe --no-first-run --no-default-browser-check --disable-gpu --disable-sync "
            "--disable-dev-shm-usage --disable-background-networking --disable-component-update "
            "--force-color-profile=srgb --lang=en"
        )
        command = [program, *flags.split(), f"--user-data-dir={self.profile.name}"]
        # Root has no sandbox to give; the page is this repository's own.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []

        def at_3_and_4():
            low = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_child, from_child)]
            for end, place in zip(low, (3, 4)):
                os.dup2(end, place)

        self.process = subprocess.Popen(
            command + ["about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(3, 4),
            preexec_fn=at_3_and_4,
            start_new_session=True,
        )
        os.close(to_child), os.close(from_child)
        self.bytes, self.serial, self.session, self.events = b"", 0, None, []

    def open(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.violations = []; addEventListener("
            "'securitypolicyviolation', (e) => violations.push(`${e.violatedDirective}: ${e.blockedURI} ${e.sample}`));",
        )

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.profile.cleanup()

    def call(self, method, **params):
        self.serial += 1
        message = {"id": self.serial, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        try:
            os.write(self.writer, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            pass  # reading tells why
        end = time.monotonic() + WAIT
        while True:
            answer = self.read(end, method)
            if answer.get("id") == self.serial:
                demand("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self.events.append(answer)

    def read(self, end, what):
        while b"\0" not in self.bytes:
            ready, _, _ = select.select([self.reader], [], [], max(0, end - time.monotonic()))
            demand(ready, f"the browser did not answer within {WAIT} s: {what}")
            piece = os.read(self.reader, 1 << 20)
            if not piece:
                self.log.seek(0)
                raise Failed("the browser ended: " + self.log.read().decode(errors="replace")[-2000:])
            self.bytes += piece
        message, self.bytes = self.bytes.split(b"\0", 1)
        return json.loads(message)

    def event(self, method, fits=lambda params: True):
        """The next event of this kind; it is taken out."""
        end = time.monotonic() + WAIT
        while True:
            for event in self.events:
                if event.get("method") == method and fits(event["params"]):
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self.read(end, f"event {method}"))

    def seen(self, method):
        self.run("0")  # what came before this answer is in
        return [event["params"] for event in self.events if event.get("method") == method]

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        demand("exceptionDetails" not in answer, f"{script}: {answer.get('exceptionDetails')}")
        return answer["result"].get("value")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.textContent")

    def visible(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).checkVisibility()")

    def until(self, script, what):
        end = time.monotonic() + WAIT
        while not (value := self.run(script)):
            said = (self.text("#error"), self.text("#status")) if time.monotonic() > end else None
            demand(not said, f"{what} did not come within {WAIT} s; the page says: {said}")
            time.sleep(0.02)
        return value

    def key(self, name, modifiers=0):
        code = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowDown": 40, "End": 35}[name]
        text = {"text": "\r"} if name == "Enter" else {}
        key = {"key": name, "code": name, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def click(self, selector):
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="none" if kind == "mouseMoved" else "left",
                clickCount=1,
            )

    def type(self, selector, text):
        self.run(
            f"document.querySelector({json.dumps(selector)}).focus(); document.querySelector({json.dumps(selector)}).select()"
        )
        self.call("Input.insertText", text=text)
        demand(
            self.run(f"document.querySelector({json.dumps(selector)}).value") == text,
            f"{selector} did not take what was typed",
        )

    def screenshot(self, path, full=True):
        width, height = self.run("[innerWidth, innerHeight]")
        if full:
            # A window as high as the page: what is out of sight may not be painted.
            self.size(width, self.run("document.documentElement.scrollHeight") + 8)
            self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        data = self.call("Page.captureScreenshot", format="png")["data"]
        self.size(width, height)
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])


class Server:
    """The same server, asked by this script."""

    def __init__(self, url, key):
        self.url, self.key = url.rstrip("/") + "/", key

    def ask(self, path, body=None, **headers):
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        data = None if body is None else json.dumps(body).encode()
        headers |= {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(urllib.parse.urljoin(self.url, path), data, headers)
        try:
            with urllib.request.urlopen(request, timeout=WAIT) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except urllib.error.URLError as error:
            raise Failed(f"{request.full_url}: {error.reason}; is the server running?") from error

    def json(self, path, body=None):
        status, headers, data = self.ask(path, body)
        demand(status == 200, f"{path}: status {status}: {data[:300]!r}")
        return headers, json.loads(data)


TABLE = """(() => { const rows = [...document.querySelectorAll('#matrix tbody tr')]; return {
  rows: rows.map((r) => r.cells[0].querySelector('.name').textContent.replace(/^\\d+/, '')),
  values: rows.map((r) => [...r.cells].slice(1).map((c) => Number(c.textContent.replace('\\u2212', '-')))) }; })()"""
CHIPS = """[...document.querySelectorAll('#token-lists > li')].map((l) => [...l.querySelectorAll('.chips li')].map((c) =>
  ({ id: Number(c.dataset.id), text: c.querySelector('code').textContent, special: c.classList.contains('special') })))"""
# Contrast as WCAG 2.2 defines it, of what the browser would paint.
CONTRAST = """(() => { const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const light = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = (e) => { const c = getComputedStyle(e).backgroundColor; return c !== 'rgba(0, 0, 0, 0)' ? c : e.parentElement ? back(e.parentElement) : 'white'; };
  let least = [99, ''];
  for (const e of document.querySelectorAll('.heat, .chips li, .under, label, button, h2, dt, dd, #status, #server, #matrix th')) {
    if (!e.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((a, b) => b - a);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < least[0]) least = [contrast, `${e.tagName} .${e.className} ${e.textContent}`];
  } return least; })()"""


class Check:
    def __init__(self, browser, server, screenshots):
        self.browser, self.server, self.screenshots = browser, server, screenshots

    def compare(self, texts, start=lambda browser: browser.click("#compare")):
        """Types texts, starts, and waits until the table is of these texts and the page is at rest."""
        self.browser.type("#texts", "\n".join(texts))
        start(self.browser)
        rows = json.dumps([text.strip() for text in texts])
        self.browser.until(
            f"document.querySelector('#results').getAttribute('aria-busy') === 'false' && "
            f"JSON.stringify({TABLE}.rows) === JSON.stringify({rows})",
            f"the table of {texts}",
        )
        return self.browser.run(TABLE)["values"]

    def error(self, start):
        """What the page says when this goes wrong."""
        start()
        return self.browser.until("document.querySelector('#error').textContent", "an error in words")

    def picture(self, name, full=True):
        if self.screenshots:
            self.browser.screenshot(self.screenshots / f"{name}.png", full)

    def the_page_loads(self):
        browser, server = self.browser, self.server
        status, headers, data = server.ask("", Accept="text/html")
        demand(
            status == 200 and headers.get_content_type() == "text/html",
            f"GET / gave {status} {headers.get_content_type()}: {data[:200]!r}",
        )
        policy = headers.get("Content-Security-Policy", "")
        demand("default-src 'none'" in policy and "unsafe" not in policy, f"the Content-Security-Policy is {policy!r}")
        browser.size(1100, 900), browser.theme("light")
        browser.call("Page.navigate", url=server.url)
        browser.until(
            "location.href !== 'about:blank' && document.readyState === 'complete' && document.querySelector('#server')?.textContent",
            "the page",
        )
        if server.key:
            demand(browser.visible("#key"), "the server wants a key, and the page has no field for it")
            demand(
                browser.text("#server") == "This server wants an API key.", "the page does not say that a key is wanted"
            )
            browser.type("#key", server.key + "-wrong")
            said = self.error(lambda: browser.click("#compare"))
            refusal = Server(server.url, server.key + "-wrong").ask("v1/embeddings", {"input": "a"})[2]
            demand(said == json.loads(refusal)["error"]["message"], f"the page says {said!r}, the server {refusal!r}")
            demand(
                browser.run("document.activeElement.id") == "key", "a refused key does not take the focus to its field"
            )
            browser.type("#key", server.key)
        else:
            demand(not browser.visible("#key"), "the page asks for an API key: does the server want one (--api-key)?")
            models = server.json("v1/models")[1]["data"]
            shown = browser.run("[...document.querySelector('#model').options].map((o) => o.value)")
            demand(shown == [model["id"] for model in models], f"models shown: {shown}")
            demand(
                browser.visible("#model") == (len(models) > 1),
                "the choice of the model is there for one model, or not there for several",
            )

    def every_control_has_a_label(self):
        bare = self.browser.run(
            "[...document.querySelectorAll('input, select, textarea')].filter((e) => !e.labels.length).map((e) => e.id)"
        )
        demand(not bare, f"no label: {bare}")

    def the_table_is_right(self):
        texts = [*CATS, BANK]
        values = self.compare(texts)
        headers, answer = self.server.json("v1/embeddings", {"input": texts, "encoding_format": "float"})
        vectors = [item["embedding"] for item in answer["data"]]
        true = [[sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b) for b in vectors] for a in vectors]
        off = max(abs(shown - value) for row in zip(values, true) for shown, value in zip(*row))
        demand(
            [len(row) for row in values] == [3, 3, 3] and off < 0.006,
            f"the table is {values} and the cosines are {true}",
        )
        demand(all(values[at][at] == 1 for at in range(3)), f"the diagonal is not 1.00: {values}")
        demand(
            values[0][1] > max(values[0][2], values[1][2]),
            f"the cats are not closer to each other than to the bank: {values}",
        )
        facts = self.browser.text("#facts")
        for fact in (
            str(answer["usage"]["prompt_tokens"]),
            f"3 × {len(vectors[0])}",
            headers.get("X-Embedding-Fingerprint", "X-Embedding-Fingerprint is missing"),
        ):
            demand(fact in facts, f"{fact!r} is not in {facts!r}")
        # The model is told at the latest now, with a key too.
        self.browser.until(
            f"document.querySelector('#server').textContent.includes({json.dumps(self.server.json('v1/models')[1]['data'][0]['id'])})",
            "the model's name",
        )

    def the_tokens_are_right(self):
        true = self.server.json("tokenize", {"inputs": [*CATS, BANK], "add_special_tokens": True})[1]
        signs = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})
        true = [
            [{"id": token["id"], "text": token["text"].translate(signs), "special": token["special"]} for token in text]
            for text in true
        ]
        shown = self.browser.run(CHIPS)
        demand(shown == true, f"tokens shown:\n{shown}\ntokens of /tokenize:\n{true}")
        said = self.browser.text("#tokens-sum")
        demand(
            said.startswith(
                f"{sum(map(len, true))} tokens in all, {sum(token['special'] for text in true for token in text)} of them"
            ),
            said,
        )

    def a_task_is_sent(self):
        browser = self.browser
        browser.events.clear()
        browser.run("document.querySelector('#task').value = 'query'")
        self.compare([CATS[0], BANK], start=lambda browser: browser.key("Enter", modifiers=2))
        bodies = [
            json.loads(request["request"]["postData"])
            for request in browser.seen("Network.requestWillBeSent")
            if request["request"]["method"] == "POST"
        ]
        demand(
            sorted(body.get("task", body.get("prompt_name")) for body in bodies) == ["query", "query"],
            f"sent: {bodies}",
        )
        headers, _ = self.server.json("v1/embeddings", {"input": BANK, "task": "query"})
        demand(headers["X-Embedding-Fingerprint"] in browser.text("#facts"), "not the fingerprint with the task")
        browser.run("document.querySelector('#task').value = ''")

    def the_keyboard_suffices(self):
        browser = self.browser
        self.compare([*CATS, BANK])
        browser.run("document.querySelector('#stretch').focus()")
        browser.key("Tab"), browser.key("ArrowRight"), browser.key("End"), browser.key("ArrowDown")
        at = browser.run("[document.activeElement.dataset.row, document.activeElement.dataset.column]")
        demand(at == ["1", "2"], f"the arrow keys led to {at}")
        pair = browser.run("['#pair-row-text', '#pair-column-text'].map((e) => document.querySelector(e).textContent)")
        demand(pair == [CATS[1], BANK], f"the pair shown is {pair}")
        stops = browser.run("document.querySelectorAll('#matrix [tabindex=\"0\"]').length")
        demand(stops == 1, f"{stops} cells stop the Tab key")
        browser.run("document.activeElement.blur()")

    def markup_is_inert(self):
        self.compare([EVIL, "<b>bold</b> & &amp;"])
        demand(
            self.browser.run("window.harmed === undefined && !document.querySelector('main img, main script, main b')"),
            "markup in a text came alive",
        )

    def a_text_that_is_too_long_is_refused_in_words(self):
        status, _, data = self.server.ask("info")
        words = json.loads(data).get("max_input_length", 100_000) if status == 200 else 100_000
        texts = [CATS[0], "word " * (words + 1)]
        status, _, data = self.server.ask("v1/embeddings", {"input": texts})
        demand(status == 400, f"{words + 1} words were answered with {status}")
        self.browser.type("#texts", "\n".join(texts))
        said = self.error(lambda: self.browser.click("#compare"))
        # The server's words, but for how texts are counted and what cannot be set here.
        wanted, sent = json.loads(data)["error"]["message"].removeprefix("input 1: "), said.split("\n")
        demand(
            any(line.startswith("Text 2: ") and line.removeprefix("Text 2: ") in wanted for line in sent),
            f"the page says {said!r}, the server {data!r}",
        )
        demand("truncate" not in said, f"the page names what it has not: {said!r}")
        demand(not self.browser.visible("#similarity"), "the table of other texts is still there")
        self.picture("too-long")

    def what_makes_no_sense_is_not_sent(self):
        browser = self.browser
        for text, word in (("\n  \n", "nothing to compare"), ("\n".join(map(str, range(201))), "201 texts")):
            self.compare(CATS)
            browser.events.clear()
            browser.type("#texts", text)
            said = self.error(lambda: browser.click("#compare"))
            demand(word in said, said)
            demand(not browser.seen("Network.requestWillBeSent"), "it was sent all the same")

    def most_texts_are_shown(self):
        self.browser.events.clear()
        values = self.compare([f"text number {number}" for number in range(200)])
        demand(
            all(len(row) == 200 and row[at] == 1 for at, row in enumerate(values)),
            "the table of 200 texts is not 200 by 200 with ones on the diagonal",
        )
        self.browser.run("document.querySelector('#similarity').scrollIntoView()")
        self.picture("many", full=False)

    def only_the_last_comparison_counts(self):
        browser = self.browser
        browser.call("Fetch.enable", patterns=[{"urlPattern": "*/v1/embeddings"}])
        browser.type("#texts", "\n".join(CATS))
        browser.click("#compare")
        held = browser.event("Fetch.requestPaused")
        browser.type("#texts", BANK)
        browser.click("#compare")
        lost = browser.event("Network.loadingFailed", lambda params: params["requestId"] == held["networkId"])
        demand(lost.get("canceled"), f"the first request was not aborted: {lost}")
        second = browser.event("Fetch.requestPaused")["requestId"]
        said = browser.run("['#status', '#error'].map((e) => document.querySelector(e).textContent)")
        demand(said == ["Comparing 1 text …", ""], f"while the second comparison is under way the page says {said}")
        browser.call("Fetch.continueRequest", requestId=second)
        browser.until(f"JSON.stringify({TABLE}.rows) === JSON.stringify({json.dumps([BANK])})", "the second comparison")
        demand(not browser.text("#error"), "an aborted request was told as an error")
        browser.call("Fetch.disable")

    def a_server_that_is_gone_is_told(self):
        browser = self.browser
        browser.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        browser.click("#compare")
        for _ in range(2):
            browser.call(
                "Fetch.failRequest",
                requestId=browser.event("Fetch.requestPaused")["requestId"],
                errorReason="ConnectionRefused",
            )
        said = self.error(lambda: None)
        demand(said == "The server could not be reached. Is it still running?", said)
        browser.call("Fetch.disable")

    def it_can_be_read(self):
        """Screenshots, the contrast of every text in both themes, and the width of a phone."""
        browser = self.browser
        default = browser.run("document.querySelector('#texts').defaultValue").strip().split("\n")
        self.compare(default)
        for stretch in (False, True):
            if stretch:
                browser.click("#stretch")
            for theme in ("light", "dark"):
                browser.theme(theme)
                contrast, where = browser.run(CONTRAST)
                demand(contrast >= 4.5, f"{theme}: the contrast is {contrast:.2f} at {where}")
                self.picture(theme + ("-stretched" if stretch else ""))
        browser.click("#stretch")
        browser.size(360, 740)
        for theme in ("light", "dark"):
            browser.theme(theme)
            width = browser.run("document.documentElement.scrollWidth")
            demand(width <= 360, f"the page is {width} px wide on a screen of 360")
            self.picture(f"narrow-{theme}")
        browser.size(1100, 900), browser.theme("light")

    def nothing_else_was_loaded(self):
        requests = [sent["request"] for sent in self.browser.seen("Network.requestWillBeSent")]
        strange = [request["url"] for request in requests if not request["url"].startswith((self.server.url, "data:"))]
        demand(not strange, f"loaded from elsewhere: {strange}")

    def nothing_was_complained_of(self, *allowed):
        """No message of the browser, but for answers of these statuses."""
        browser = self.browser
        violations = browser.run("window.violations")
        demand(not violations, f"against the Content-Security-Policy: {violations}")
        told = [entry["entry"] for entry in browser.seen("Log.entryAdded")]
        told = [
            f"{entry['source']}: {entry['text']} {entry.get('url', '')}"
            for entry in told
            if not (entry["source"] == "network" and any(f"status of {status} " in entry["text"] for status in allowed))
        ]
        told += [json.dumps(call["args"]) for call in browser.seen("Runtime.consoleAPICalled")]
        told += [json.dumps(thrown["exceptionDetails"]) for thrown in browser.seen("Runtime.exceptionThrown")]
        demand(not told, "in the console: " + "\n".join(told))

    def all(self):
        login = (401,) if self.server.key else ()
        # What the server is expected to refuse, or what is not let through, the browser notes in its console.
        checks = [
            (self.the_page_loads, login),
            (self.every_control_has_a_label, login),
            (self.the_table_is_right, login),
            (self.the_tokens_are_right, login),
            (self.a_task_is_sent, ()),
            (self.the_keyboard_suffices, ()),
            (self.markup_is_inert, ()),
            (self.a_text_that_is_too_long_is_refused_in_words, (400, 413)),
            (self.what_makes_no_sense_is_not_sent, ()),
            (self.most_texts_are_shown, ()),
            (self.only_the_last_comparison_counts, ()),
            (self.it_can_be_read, ()),
            (self.a_server_that_is_gone_is_told, None),
        ]
        for check, statuses in checks:
            begin = time.monotonic()
            name = check.__name__.replace("_", " ")
            try:
                check()
                if statuses is not None:
                    self.nothing_was_complained_of(*statuses)
                self.nothing_else_was_loaded()
            except Failed as failure:
                self.picture("failed")
                raise Failed(f"{name}: {failure}") from failure
            self.browser.events.clear()
            print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where connote serves")
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="DIR", help="where to keep pictures of the page")
    parser.add_argument("--api-key", help="a key, if the server wants one")
    parser.add_argument("--chromium", default="chromium", help="the browser [default: chromium]")
    args = parser.parse_args()
    program = shutil.which(args.chromium)
    if not program:
        sys.exit(f"check_page: there is no {args.chromium} here; on Debian: apt-get install -y chromium")
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
    browser = None
    try:
        server = Server(args.url, args.api_key)
        server.ask("health")
        browser = Browser(program)
        browser.open()
        Check(browser, server, args.screenshots).all()
    except Failed as failure:
        sys.exit(f"check_page: FAILED: {failure}")
    finally:
        if browser:
            browser.close()


main()
