# SPDX-License-Identifier: MIT
"""Headless Chromium, told what to do over a pipe (DevTools protocol: a JSON object and a NUL)."""

import base64
import fcntl
import itertools
import json
import os
import select
import signal
import subprocess
import time

from lab.netns import wait_for

_FLAGS = [
    "--headless=new",
    "--no-sandbox",  # tests are root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


def _become_3_and_4(reads, writes):
    """In the child: where the browser looks for its pipes."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (reads, writes)]
    for wanted, fd in enumerate(high, 3):
        os.dup2(fd, wanted)


class BrowserError(AssertionError):
    """The browser refuses, or a script of the page failed."""


class Page:
    """One tab of a browser of its own; close() ends it."""

    def __init__(self, folder):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        argv = ["chromium", *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        env = {**os.environ, "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": "/dev/null"}
        self._log = open(folder / "chromium.log", "wb")
        self._process = subprocess.Popen(
            argv,
            pass_fds=(3, 4),
            preexec_fn=lambda: _become_3_and_4(theirs_in, theirs_out),  # noqa: PLW1509
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=env,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session = None
        target = self._tell("Target.createTarget", url="about:blank")["targetId"]
        found = self._tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        self._tell("Page.enable")

    def close(self):
        """Ends it with all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._log.close()

    def _read(self, deadline):
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0]:
                raise BrowserError("no answer from the browser")
            part = os.read(self._in, 1 << 16)
            if not part:
                raise BrowserError("the browser ended")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _tell(self, method, timeout=60, **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._read(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    # ---- what a test does ----

    def size(self, width, height, dark=False):
        """The window, and whether its user likes it dark."""
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url):
        """Loads a page, and waits until it says that it is ready."""
        self._tell("Page.navigate", url=url)
        ready = (
            "document.body && (document.body.dataset.ready || document.querySelector('#failed'))"
        )
        wait_for(lambda: self._quiet(f"!!({ready})"), 30, f"{url} is ready")
        failed = self.run("document.querySelector('#failed')?.textContent ?? ''")
        if failed:
            raise BrowserError(failed)

    def _quiet(self, script):
        try:
            return self.run(script)
        except BrowserError:
            return None  # between two pages

    def run(self, script):
        """The value of an expression in the page, what it promises included."""
        found = self._tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise BrowserError(details.get("exception", details).get("description", str(details)))
        return found["result"].get("value")

    def wait(self, script, timeout=20):
        """Until the expression is true; its value."""
        return wait_for(lambda: self.run(script), timeout, script)

    def click(self, selector):
        """Clicks on what a user would, once it is there."""
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        """Puts text into a field, key events included, in place of what it has."""
        quoted = json.dumps(selector)
        self.run(f"(({{ focus: 1 }}), document.querySelector({quoted}).focus())")
        self.run(f"document.querySelector({quoted}).select()")
        self._tell("Input.insertText", text=text)
        fire = "dispatchEvent(new Event('change', {bubbles: true}))"
        self.run(f"document.querySelector({quoted}).{fire}")

    def text(self, selector):
        """What it says, "" where there is none."""
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def screenshot(self, path):
        """The whole page as a PNG."""
        found = self._tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
