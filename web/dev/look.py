"""Looks at the built page in a real browser: what people do, the policy, axe-core, pictures in every size and theme.

Run it from the project's folder after ``npm run build``: ``python web/dev/look.py [folder for pictures]``.
It needs the Python package playwright and a Chromium (``CHROMIUM``, else /usr/bin/chromium).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

WEB = Path(__file__).parent.parent
AXE = (WEB / "node_modules/axe-core/axe.min.js").read_text()
SIZES = {"laptop": (1280, 800), "desk": (1600, 1000), "tablet": (900, 1000), "phone": (390, 844), "narrow": (360, 640)}
FIRST_PORT = 8790
DRAWN_MAX = 60
DIALOGS = (
    "found-group",
    "join-group",
    "my-contact",
    "invite",
    "settings",
    "successor-group",
    "remove-member",
    "leave",
)
REPORT_POLICY = """addEventListener('securitypolicyviolation', (event) =>
  console.error('policy: ' + event.violatedDirective + ' ' + event.sample));"""
AT_END = """() => {
  const scroller = document.querySelector('[aria-label="Conversation"][role=region]');
  return scroller.scrollHeight > 0 && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 2;
}"""


MINE = "[data-testid=message][data-mine=true]"


class Node:
    """A fake node; ``problems`` collects what the browser complained about."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.problems: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def fake(self, what: str, **body: str) -> None:
        url = f"{self.address}fake/{what}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310


@contextmanager
def node(port: int, *options: str) -> Iterator[Node]:
    command = ["node", str(WEB / "dev/fake-node.mjs"), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        if process.stdout is not None:
            process.stdout.readline()
        try:
            yield Node(port)
        finally:
            process.terminate()


@contextmanager
def page_of(browser: Browser, running: Node, size: str = "laptop", theme: str = "light") -> Iterator[Page]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()

    def note(message: ConsoleMessage) -> None:
        # A refusal that a look provokes on purpose is also an error to the console.
        if message.type == "error" and "Failed to load resource" not in message.text:
            running.problems.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: running.problems.append(str(error)))
    page.add_init_script(REPORT_POLICY)
    page.goto(f"{running.address}#fake-code")
    page.get_by_test_id("my-contact").or_(page.get_by_test_id("no-session")).first.wait_for()
    try:
        yield page
    finally:
        context.close()


def axe(page: Page, where: str) -> list[str]:
    """Findings, as sentences. The script comes in through the debugger, so the policy stays as it is."""
    page.evaluate(AXE + "; 0")
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{where}: {finding['id']}: {finding['help']}: {[one['html'][:140] for one in finding['nodes'][:3]]}"
        for finding in result["violations"]
    ]


def open_group(page: Page, name: str = "Protocol circle") -> None:
    page.get_by_test_id("group-item").filter(has_text=name).click()
    page.get_by_test_id("message").last.wait_for()
    page.wait_for_function(AT_END)


def pictures(browser: Browser, folder: Path) -> list[str]:
    findings: list[str] = []
    with node(FIRST_PORT) as full, node(FIRST_PORT + 1, "--empty") as empty:
        for theme in ("light", "dark"):
            for size in SIZES:
                with page_of(browser, full, size, theme) as page:

                    def shot(name: str, page: Page = page, size: str = size, theme: str = theme) -> None:
                        page.screenshot(path=folder / f"{name}-{size}-{theme}.png")
                        findings.extend(axe(page, f"{name} {size} {theme}"))

                    if size in ("phone", "narrow"):
                        shot("groups")
                    open_group(page)
                    shot("group")
                    if size not in ("laptop", "desk"):
                        wide = page.get_by_test_id("pane-glance")
                        (wide if wide.is_visible() else page.get_by_label("At a glance").first).click()
                        shot("glance")
                with page_of(browser, full, size, theme) as page:
                    open_group(page, "Allotment")
                    page.screenshot(path=folder / f"emergency-{size}-{theme}.png")
                    findings.extend(axe(page, f"emergency {size} {theme}"))
                    if size not in ("laptop", "desk"):
                        wide = page.get_by_test_id("pane-glance")
                        (wide if wide.is_visible() else page.get_by_label("At a glance").first).click()
                    page.get_by_role("button", name="Mallory: 42 points. Why?").click()
                    page.get_by_test_id("score-moves").wait_for()
                    page.wait_for_timeout(150)
                    page.screenshot(path=folder / f"score-{size}-{theme}.png")
                    findings.extend(axe(page, f"score {size} {theme}"))
                with page_of(browser, empty, size, theme) as page:
                    page.screenshot(path=folder / f"welcome-{size}-{theme}.png")
                    findings.extend(axe(page, f"welcome {size} {theme}"))
            for dialog in DIALOGS:
                for size in ("laptop",) if theme == "dark" else ("laptop", "phone"):
                    with page_of(browser, full, size, theme) as page:
                        if dialog not in ("found-group", "join-group", "my-contact"):
                            open_group(page)
                            if size == "phone":
                                page.get_by_test_id("pane-glance").click()
                        page.get_by_test_id(dialog).first.click()
                        page.get_by_test_id("dialog").wait_for()
                        page.wait_for_timeout(150)
                        if dialog == "found-group":
                            page.get_by_test_id("more-options").click()
                        if dialog in ("found-group", "settings"):
                            page.get_by_test_id("rule-remove").locator("summary").click()
                        page.screenshot(path=folder / f"dialog-{dialog}-{size}-{theme}.png")
                        findings.extend(axe(page, f"dialog {dialog} {theme}"))
        return findings + full.problems + empty.problems


@dataclass
class Scene:
    """One person's page while the story goes on."""

    page: Page
    running: Node
    folder: Path
    findings: list[str] = field(default_factory=list)

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.folder / f"{name}-laptop-light.png")
        self.findings += axe(self.page, name)


def story(browser: Browser, folder: Path) -> list[str]:
    """What a person does, one after the other; raises where the page does not follow."""
    with node(FIRST_PORT + 2) as running, page_of(browser, running) as page:
        expect(page).to_have_url(running.address)
        open_group(page)
        scene = Scene(page, running, folder)
        for part in PARTS:
            part(scene)
        return scene.findings + running.problems


def write(scene: Scene) -> None:
    """Two lines, then the hints for commands."""
    page = scene.page
    composer = page.get_by_test_id("composer")
    composer.fill("first line")
    composer.press("Shift+Enter")
    composer.press_sequentially("second line")
    composer.press("Enter")
    expect(page.locator(MINE).last).to_contain_text("second line")
    expect(page.get_by_test_id("sending")).to_have_count(0)
    composer.fill("/")
    expect(page.get_by_test_id("command-hints")).to_be_visible()
    scene.shot("hints")
    composer.fill("/ban bo")
    composer.press("Tab")
    expect(composer).to_have_value(f"/ban {page.get_by_test_id('member').nth(1).get_attribute('data-address')}")


def be_refused(scene: Scene) -> None:
    """An unknown command keeps its text; a refused message can be sent again."""
    page = scene.page
    composer = page.get_by_test_id("composer")
    composer.fill("/nonsense")
    composer.press("Enter")
    expect(page.locator("[data-testid=toast][data-kind=error]")).to_contain_text("There is no command")
    expect(composer).to_have_value("/nonsense")
    scene.shot("toast")
    page.get_by_label("Dismiss", exact=True).click()
    scene.running.fake("refuse-next", sentence="The group is frozen for 40 s.")
    composer.fill("held back")
    composer.press("Enter")
    expect(page.get_by_test_id("sending")).to_have_attribute("data-state", "failed")
    scene.shot("failed")
    page.get_by_test_id("resend").click()
    expect(page.locator(MINE).last).to_contain_text("held back")


def decide(scene: Scene) -> None:
    """The countdown runs; dismissing is undone; one click votes; sponsoring opens a proposal."""
    page = scene.page
    cards = page.locator("[data-testid=proposal-card][data-place=glance][data-status=open]")
    expect(cards).to_have_count(2)
    card = cards.filter(has_text="Admit Dave")
    before = card.get_by_test_id("proposal-countdown").inner_text()
    expect(card.get_by_test_id("proposal-countdown")).not_to_have_text(before, timeout=3000)
    page.get_by_test_id("dismiss").click()
    expect(page.get_by_test_id("request")).to_have_count(0)
    page.get_by_test_id("undo").click()
    expect(page.get_by_test_id("request")).to_have_count(1)
    card.get_by_test_id("vote-yes").click()
    expect(page.locator("[data-testid=proposal-card][data-status=approved]").first).to_be_visible()
    expect(page.get_by_test_id("epoch")).to_have_text("8", timeout=6000)
    expect(page.get_by_test_id("member")).to_have_count(4)
    page.get_by_test_id("sponsor").click()
    expect(cards.filter(has_text="Admit Erin")).to_have_count(1)


def look_at_the_nodes(scene: Scene) -> None:
    """What nodes decide by themselves is a line that opens; nobody is asked."""
    line = scene.page.locator("[data-testid=quiet-proposal][data-kind=election][data-place=conversation]")
    scroller = scene.page.get_by_role("region", name="Conversation")
    for _ in range(20):
        if line.count():
            break
        scroller.evaluate("one => one.scrollBy(0, -300)")
        scene.page.wait_for_timeout(100)
    line.locator("summary").click()
    expect(line.get_by_test_id("proposal-rule")).to_contain_text("tried once before")
    expect(line.get_by_test_id("my-vote")).to_have_text("Your node voted yes.")
    expect(line.get_by_test_id("vote-yes")).to_have_count(0)
    scene.shot("election")
    expect(scene.page.get_by_test_id("steward").first).to_have_attribute("data-role", "epoch steward")


def propose_settings(scene: Scene) -> None:
    """What would change is told first; a refusal is told where it was asked for, and nothing typed is lost."""
    page = scene.page
    page.get_by_test_id("settings").click()
    expect(page.get_by_test_id("confirm")).to_be_disabled()
    page.get_by_test_id("settings-name").fill("Protocol people")
    page.get_by_test_id("rule-stewards").locator("summary").click()
    page.get_by_label("At most", exact=True).fill("1")
    will = page.get_by_test_id("will-change")
    expect(will).to_contain_text("2 changes that you propose")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("problem")).to_contain_text("the least not above the most")
    scene.shot("settings-refused")
    page.keyboard.press("Escape")
    page.get_by_test_id("settings").click()
    page.get_by_test_id("settings-start").select_option("council")
    expect(page.get_by_test_id("settings-name")).to_have_value("Protocol people")
    expect(will.locator("[data-field=stewards_min]")).to_contain_text("64")
    expect(will.locator("[data-field=stewards_max]")).to_contain_text("1")
    page.get_by_test_id("settings-start").select_option("now")
    page.get_by_test_id("rule-stewards").locator("summary").click()
    page.get_by_label("At most", exact=True).fill("")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("problem")).to_contain_text("Fill in how many stewards")
    page.get_by_label("At most", exact=True).fill("9")
    expect(page.get_by_test_id("problem")).to_be_empty()
    scene.shot("settings")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("dialog")).to_have_count(0)
    card = page.locator("[data-testid=proposal-card][data-place=glance]").filter(has_text="Protocol people")
    expect(card.get_by_test_id("differences")).to_contain_text("Most stewards")


def accuse(scene: Scene) -> None:
    """Somebody is accused: what waits, with which proofs, what a vote means; and why somebody has a score."""
    page = scene.page
    page.get_by_test_id("group-item").filter(has_text="Allotment").click()
    expect(page.get_by_test_id("freeze-banner")).to_contain_text("Bob accuses Mallory")
    expect(page.get_by_test_id("freeze-banner")).to_contain_text("at the latest")
    expect(page.get_by_test_id("frozen-badge")).to_have_count(1)
    expect(page.get_by_test_id("held-proposal").first).to_have_attribute("data-mine", "true")
    card = page.locator("[data-testid=proposal-card][data-place=glance]")
    expect(card.get_by_test_id("emergency-proof")).to_have_count(1)
    expect(card.get_by_test_id("emergency-case")).to_contain_text("Mallory goes at once")
    expect(card.get_by_test_id("vote-no")).to_be_visible()
    scene.shot("emergency")
    page.get_by_test_id("show-emergency").click()
    page.get_by_role("button", name="Mallory: 42 points. Why?").click()
    expect(page.get_by_test_id("score-move")).to_have_count(4)
    expect(page.get_by_test_id("score-moves")).to_contain_text("offered a broken commit")
    expect(page.get_by_test_id("proven")).to_contain_text("check V10")
    scene.shot("score")
    page.get_by_test_id("accuse").click()
    expect(page.get_by_test_id("problem")).to_contain_text("decided on all that your node can prove")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Carol: 100 points. Why?").click()
    expect(page.get_by_test_id("accusation-sentence")).to_contain_text("no proof that Carol broke a rule")
    expect(page.get_by_test_id("accuse")).to_have_count(0)
    page.keyboard.press("Escape")
    open_group(page)


def invite_anybody(scene: Scene) -> None:
    page = scene.page
    page.get_by_test_id("invite").click()
    link = page.get_by_test_id("invite-link")
    one = link.input_value()
    page.get_by_test_id("invite-open").check()
    expect(link).not_to_have_value(one)
    scene.shot("invite-open")
    page.get_by_test_id("invite-one").check()
    expect(link).to_have_value(one)
    page.keyboard.press("Escape")


def go_on(scene: Scene) -> None:
    """A group that waits: founding a successor with those who are there, and joining somebody else's."""
    page = scene.page
    page.get_by_test_id("group-item").filter(has_text="Weavers").first.click()
    expect(page.get_by_test_id("sync")).to_contain_text("waiting for 2 of: Bob, Carol, Dave")
    expect(page.get_by_test_id("sync")).to_contain_text("the nodes are electing new stewards")
    scene.shot("waiting")
    page.get_by_test_id("deadlock").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("problem")).to_contain_text("There is no deadlock")
    page.keyboard.press("Escape")
    page.get_by_test_id("go-on").click()
    take = page.get_by_test_id("take-along")
    expect(take).to_have_count(3)
    expect(page.get_by_test_id("confirm")).to_be_disabled()
    page.get_by_role("checkbox", name="Dave").check()
    page.get_by_test_id("successor-name").fill("Weavers, the others")
    scene.shot("successor")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_role("heading", name="Weavers, the others")).to_be_visible()
    page.go_back()
    page.get_by_test_id("group-item").filter(has_text="Has anybody heard").or_(
        page.get_by_test_id("group-item").filter(has_text="You founded “Weavers")
    ).first.click()
    page.get_by_test_id("go-on").click()
    page.get_by_role("checkbox", name="Dave").check()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("problem")).to_contain_text("already")
    expect(page.get_by_test_id("confirm")).to_have_text("Found one more")
    page.keyboard.press("Escape")
    page.get_by_test_id("join-successor").click()
    expect(page.get_by_role("heading", name="Weavers, again")).to_be_visible()
    scene.running.fake("halt", group="Weavers")
    page.get_by_test_id("group-item").filter(has_text="Halted").click()
    expect(page.get_by_test_id("sync")).to_have_attribute("data-state", "halted")
    expect(page.get_by_test_id("join-successor")).to_have_count(0)
    scene.shot("halted")
    open_group(page)


def search(scene: Scene) -> None:
    page = scene.page
    page.get_by_test_id("search").click()
    page.get_by_test_id("search-input").fill("train")
    expect(page.get_by_test_id("search-count")).to_contain_text("of")
    scene.shot("search")
    page.get_by_test_id("search-input").press("Escape")


def read(scene: Scene) -> None:
    """What is said elsewhere is counted until it is seen."""
    page = scene.page
    page.get_by_test_id("group-item").filter(has_text="Test bench").click()
    scene.running.fake("say", group="Protocol circle", text="Are you there?")
    expect(page.get_by_test_id("unread")).to_have_text("1 unread")
    open_group(page)
    expect(page.get_by_test_id("unread")).to_have_count(0)


def found(scene: Scene) -> None:
    """Drafts outlive a closed dialog and a reload; the browser's back goes back."""
    page = scene.page
    page.get_by_test_id("found-group").click()
    page.get_by_test_id("found-name").fill("Kept draft")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("dialog")).to_have_count(0)
    page.get_by_test_id("found-group").click()
    expect(page.get_by_test_id("found-name")).to_have_value("Kept draft")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("notice").last).to_contain_text("You founded Kept draft")
    page.go_back()
    expect(page.get_by_role("heading", name="Protocol circle")).to_be_visible()
    page.get_by_test_id("composer").fill("half a thought")
    page.reload()
    page.get_by_test_id("message").last.wait_for()
    expect(page.get_by_test_id("composer")).to_have_value("half a thought")


def leave(scene: Scene) -> None:
    """Leave, forget, and lose the session."""
    page = scene.page
    page.get_by_test_id("leave").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("past-group")).to_contain_text("You left")
    scene.shot("left")
    page.get_by_test_id("forget").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("group-item").filter(has_text="Protocol circle")).to_have_count(0)
    scene.running.fake("end-session")
    page.get_by_test_id("no-session").wait_for()
    scene.shot("no-session")


PARTS = (
    write,
    be_refused,
    look_at_the_nodes,
    decide,
    propose_settings,
    accuse,
    invite_anybody,
    go_on,
    search,
    read,
    found,
    leave,
)


def lost_connection(browser: Browser, folder: Path) -> list[str]:
    """The node goes and comes back: a banner meanwhile, and nothing is lost."""
    port = FIRST_PORT + 3
    with ExitStack() as browsing:
        with node(port) as running:
            page = browsing.enter_context(page_of(browser, running))
            open_group(page)
            page.get_by_test_id("composer").fill("kept over a restart")
        expect(page.get_by_test_id("connection-banner")).to_be_visible()
        expect(page.get_by_test_id("sync")).to_have_attribute("data-state", "offline")
        expect(page.get_by_test_id("message").last).to_be_visible()
        page.screenshot(path=folder / "banner-laptop-light.png")
        findings = axe(page, "banner")
        with node(port) as running:
            expect(page.get_by_test_id("connection-banner")).to_have_count(0, timeout=20_000)
            expect(page.get_by_test_id("composer")).to_have_value("kept over a restart")
            running.fake("say", text="Back again")
            expect(page.get_by_test_id("message").last).to_contain_text("Back again")
    return findings


def large(browser: Browser, folder: Path) -> list[str]:
    with node(FIRST_PORT + 4, "--messages", "10000", "--members", "1000") as running, page_of(browser, running) as page:
        open_group(page)
        expect(page.get_by_test_id("members-count")).to_have_text("1,000 members")
        drawn = page.get_by_test_id("message").count()
        findings = [f"{drawn} messages are drawn at once"] if drawn > DRAWN_MAX else []
        scroller = page.get_by_role("region", name="Conversation")
        for _ in range(6):
            scroller.evaluate("one => one.scrollTo(0, 0)")
            page.wait_for_timeout(250)
        page.screenshot(path=folder / "earlier-laptop-light.png")
        page.get_by_test_id("search").click()
        page.get_by_test_id("search-input").fill("coins (700)")
        expect(page.get_by_test_id("search-count")).to_have_text("1 of 1", timeout=20_000)
        expect(page.get_by_test_id("message").filter(has_text="(700)").filter(has_text="coins")).to_be_visible()
        page.screenshot(path=folder / "large-laptop-light.png")
        findings += axe(page, "large")
        page.get_by_test_id("to-end").click()
        expect(page.get_by_test_id("message").filter(has_text="Give me a minute")).to_be_visible()
        return findings + running.problems


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else WEB / "dev/shots")
    folder.mkdir(parents=True, exist_ok=True)
    only = sys.argv[2:]
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        findings: list[str] = []
        for look in (story, lost_connection, large, pictures):
            if not only or look.__name__ in only:
                findings += look(browser, folder)
        browser.close()
    sys.stdout.write("\n".join(findings or ["No findings."]) + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
