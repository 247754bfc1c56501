"""A small WebDriver client: Debian's Chromium by its chromedriver, nothing but the standard library."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from space import PATIENCE

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB, ENTER, SPACE = "\ue004", "\ue007", " "


class Driver:
    """chromedriver on a port of its own."""

    def __init__(self):
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if "started successfully on port" in line:
                self.url = "http://127.0.0.1:" + line.split("port ")[1].split(".")[0].strip()
                return
        raise AssertionError("chromedriver does not start")

    def close(self):
        self.process.terminate()
        self.process.wait()


class Gone(AssertionError):
    """The element is of a page that another one has replaced, or is not there yet."""


class Browser:
    """A window.

    What is asked of an element is asked again while the page is changing: a click is answered before the page it leads to is there.
    """

    def __init__(self, driver, script=True, dark=False):
        self.url = driver.url
        self.profile = tempfile.mkdtemp(prefix="vaguemestre-chromium-")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900",
                     "--no-first-run", "--disable-extensions", "--lang=fr", f"--user-data-dir={self.profile}"]
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"binary": shutil.which("chromium"), "args": arguments}
        if not script:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        asked = {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}, "timeouts": {"pageLoad": 60000, "script": 60000}}}}
        self.session = self.call("POST", "/session", asked, whole="")["sessionId"]

    def call(self, method, path, body=None, whole=None):
        where = self.url + (path if whole is not None else f"/session/{self.session}{path}")
        data = None if body is None and method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(where, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            told = json.load(error)["value"]
            gone = told["error"] in ("stale element reference", "no such element", "detached shadow root")
            # The same, of a page that asks for itself again.
            gone = gone or "does not belong to the document" in told["message"]
            raise (Gone if gone else AssertionError)(told["message"]) from None

    def on(self, find, method, path, body=None, seconds=PATIENCE):
        """One thing asked of the element that `find` gives."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.call(method, f"/element/{find()}{path}", body)
            except Gone:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def close(self):
        self.call("DELETE", "")
        shutil.rmtree(self.profile, ignore_errors=True)

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    @property
    def address(self):
        return self.call("GET", "/url")

    @property
    def title(self):
        return self.call("GET", "/title")

    @property
    def source(self):
        return self.call("GET", "/source")

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def find_all(self, selector):
        return [e[ELEMENT] for e in self.call("POST", "/elements", {"using": "css selector", "value": selector})]

    def text(self, selector="main"):
        return self.on(lambda: self.find(selector), "GET", "/text")

    def says(self, text, selector="main", seconds=PATIENCE):
        """Waits until the page says it."""
        self.wait(f"{text!r} in {selector}", lambda: text in self.text(selector), seconds)

    def click(self, selector):
        self.on(lambda: self.find(selector), "POST", "/click")

    def click_text(self, text, tag="a"):
        using = {"using": "xpath", "value": f"//{tag}[contains(normalize-space(.), \"{text}\")]"}
        self.on(lambda: self.call("POST", "/element", using)[ELEMENT], "POST", "/click")

    def type(self, selector, text):
        self.on(lambda: self.find(selector), "POST", "/clear")
        self.on(lambda: self.find(selector), "POST", "/value", {"text": text})

    def keys(self, *keys):
        """Types on the keyboard, wherever the focus is."""
        actions = [a for key in keys for a in ({"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def active(self):
        """What has the focus: its name, id, or text."""
        element = self.call("GET", "/element/active")[ELEMENT]
        name = self.call("GET", f"/element/{element}/property/name") or self.call("GET", f"/element/{element}/property/id")
        return name or self.call("GET", f"/element/{element}/text").strip()

    def run(self, script, *arguments):
        return self.call("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def messages(self):
        """What the browser complained of: scripts, styles, policy."""
        return [m["message"] for m in self.call("POST", "/se/log", {"type": "browser"}) if m["level"] == "SEVERE"]

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def wait(self, what, condition, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except AssertionError:
                pass  # the page is changing
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds} s; at {self.address}:\n{self.text('body')[:2000]}")
            time.sleep(0.1)
