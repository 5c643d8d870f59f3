"""The report as its reader has it: in a browser, by pointer and by keyboard."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nas.campaigns.drive.run import run
from nas.campaigns.store.checkpoints import weights_path
from nas.report.live import Server
from nas.report.page import write_report
from tests.campaigns import toy
from tests.report import browser as browsers
from tests.report.campaigns import synthetic, write

pytestmark = pytest.mark.xdist_group("browser")  # one fixture for all

TRIALS = 400


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    started = browsers.start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write(tmp_path_factory.mktemp("campaign"), synthetic(TRIALS))
    return write_report(folder).as_uri()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("campaigns")
    folders = [root / "one", root / "two"]
    for folder, trials in zip(folders, (40, 60), strict=True):
        folder.mkdir()
        write_report(write(folder, synthetic(trials)))
    return write_report(folders, root / "both.html").as_uri()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with drawings of networks, and the weights of the first layer of one of them."""
    folder = tmp_path_factory.mktemp("toy") / "campaign"
    toy.write(folder, toy.CAMPAIGN.replace("trials: 4", "trials: 8"))
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    path = weights_path(folder, "final-resnet20-seed0")
    path.parent.mkdir()
    save_file({"conv1.weight": np.ones((16, 1, 3, 3), np.float32)}, path)
    return write_report(folder).as_uri()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The list of `nas serve`."""
    root = tmp_path_factory.mktemp("served")
    for name in ("first", "second"):
        (root / name).mkdir()
        write(root / name, synthetic(20))
    with served(Server(root, 0, several=True)) as server:
        yield server.url


@contextmanager
def served(server: Server) -> Iterator[Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def screen(browser: Any, width: int, height: int = 844) -> Iterator[None]:
    """A screen of this size, a phone's if it is narrow."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture
def opened(browser: Any, page: str) -> Any:
    browser.get(page)
    return browser


def cells(browser: Any, table: str, column: str) -> list[str]:
    """What the rows that are in the page have in a column."""
    found: list[str] = browser.execute_script(
        """
        const grid = document.querySelector(`[data-table=${arguments[0]}]`);
        const index = grid.querySelector(`th[data-column=${arguments[1]}]`).cellIndex;
        return [...grid.querySelectorAll("tbody tr:not(.space)")].map((row) => row.cells[index].title || row.cells[index].textContent);
        """,  # noqa: E501
        table,
        column,
    )
    return found


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def test_it_asks_for_nothing_and_has_no_errors(opened: Any, page: str) -> None:
    assert set(browsers.requests(opened)) == {page}
    assert opened.get_log("browser") == []


def test_a_click_on_a_head_sorts_and_another_turns_the_order(opened: Any) -> None:
    head = find(opened, "[data-table=rows] th[data-column=macs]")
    for order in ("ascending", "descending"):
        head.find_element("tag name", "button").click()
        macs = [int(text.replace(",", "")) for text in cells(opened, "rows", "macs")]
        assert len(macs) == 5
        assert macs == sorted(macs, reverse=order == "descending")
        assert head.get_attribute("aria-sort") == order


def test_the_long_table_holds_the_rows_in_view_and_finds_all(opened: Any) -> None:
    shown = cells(opened, "trials", "trial")
    assert 0 < len(shown) < TRIALS / 2
    opened.execute_script(
        "const s = document.querySelector('[data-table=trials] .scroll'); s.scrollTop = 1e6;"
    )
    browsers.wait(opened, lambda: cells(opened, "trials", "trial")[-1] == "final-lenet5-seed2")
    box = find(opened, "[data-table=trials] input")
    box.send_keys("evolution-0123 completed")
    assert cells(opened, "trials", "trial") == ["evolution-0123"]
    box.clear()
    box.send_keys("macs<2e5 random search")
    found = [int(text.replace(",", "")) for text in cells(opened, "trials", "macs")]
    assert found
    assert max(found) < 2e5
    assert set(cells(opened, "trials", "kind")) == {"random"}
    assert f"of {TRIALS + 15} rows" in find(opened, "[data-table=trials] output").text
    box.clear()
    box.send_keys("macs<<5 final")
    told = find(opened, "[data-table=trials] output").text
    assert told.startswith(f"15 of {TRIALS + 15} rows; not understood: macs<<5 ")


@pytest.fixture
def phone(opened: Any, page: str) -> Iterator[Any]:
    with screen(opened, 390):
        opened.get(page)
        yield opened


def test_a_phone_has_cards_that_sort_and_open(phone: Any) -> None:
    heads = phone.find_elements("css selector", "[data-table=rows] thead button")
    assert [head.text for head in heads] == ["name", "kind", "test", "MACs"]
    heads[3].click()
    macs = [int(text.replace(",", "")) for text in cells(phone, "rows", "macs")]
    assert macs == sorted(macs)
    card = find(phone, "[data-table=rows] tbody tr")
    assert card.size["height"] == 60
    card.find_element("css selector", "button").click()
    assert find(phone, "#row").get_attribute("open") is not None


@pytest.mark.parametrize("which", ["page", "compared", "listed"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_page(
    browser: Any, which: str, width: int, request: pytest.FixtureRequest
) -> None:
    with screen(browser, width):
        browser.get(request.getfixturevalue(which))
        for _ in ("light", "dark"):
            told = "return [document.documentElement.scrollWidth, innerWidth]"
            assert int.__le__(*browser.execute_script(told))
            table = "const s = document.querySelector('.grid .scroll');"
            told = f"{table} return [s.scrollWidth, s.clientWidth]"
            assert width == 768 or int.__le__(*browser.execute_script(told))
            find(browser, "#theme").click()


OBJECTIVES = [("validation_accuracy", "maximize"), ("params", "minimize"), ("macs", "minimize")]
OVERLAP = {"name": "miou", "direction": "maximize", "unit": "fraction", "words": "mIoU",
           "title": "mIoU", "meaning": "intersection over union"}  # fmt: skip
LOSS = {"name": "loss", "direction": "minimize", "unit": "nats", "meaning": "mean cross entropy"}
CAMPAIGNS: dict[str, dict[str, Any]] = {
    "outlier": {},
    "several objectives": {
        "objectives": [{"metric": name, "direction": way} for name, way in OBJECTIVES]
    },
    "segmentation": {
        "task": {"name": "segmentation", "head": "unet"},
        "metrics": {"task": [OVERLAP, LOSS]},
        "objectives": [{"metric": "validation_miou", "direction": "maximize"}],
    },
}


@pytest.mark.parametrize("kind", CAMPAIGNS)
def test_the_first_screen_answers_five_questions(
    browser: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What won, by how much, is it real, what did it cost, what next; a phone has two screens."""
    lines = json.dumps(synthetic(40, seeds=8))
    records = json.loads(lines.replace("n_accuracy", "n_miou").replace("t_accuracy", "t_miou")
                         if kind == "segmentation" else lines)  # fmt: skip
    for record in records:
        if kind == "outlier" and record["trial"] == "evolution-0003":
            record.get("metrics", {}).update({"validation_accuracy": 0.01})
    monkeypatch.setattr("nas.report.context._FIGURED", 0)  # figures stand further below
    monkeypatch.chdir(tmp_path)  # as a user gives it: a short path
    folder = Path("results") / "mine"
    folder.mkdir(parents=True)
    page = write_report(write(folder, records, **CAMPAIGNS[kind])).resolve().as_uri()
    answers = [".words", ".sure", ".leader:last-child", "[data-part=total] dl", ".next"]
    for width, height, screens in ((1280, 800, 1), (390, 844, 2)):
        with screen(browser, width, height):
            browser.get(page)
            found = browser.execute_script(
                "return arguments[0].map((each) => document.querySelector(each))"
                ".map((each) => [each.innerText, each.getBoundingClientRect().bottom])", answers
            )  # fmt: skip
            ends = dict(zip(answers, (end for _, end in found), strict=True))
            assert max(ends.values()) <= screens * height, ends
            texts = [text for text, _ in found]
    assert re.search("(better|worse) than|distinguishable from", texts[0])
    assert "95 % interval [" in texts[1]
    assert "95 % [" in texts[2]
    assert "hours" in texts[3]
    assert "nas compare results/mine" in texts[4]


def test_further_columns_come_on_demand(opened: Any) -> None:
    def heads() -> list[str]:
        found = opened.find_elements("css selector", "[data-table=rows] thead button")
        return [head.text for head in found]

    more = find(opened, "[data-table=rows] .tools button")
    assert len(heads()) == 8
    assert "FLOPs" not in heads()
    count = int(more.text.removesuffix(" more columns"))
    more.click()
    assert len(heads()) == 8 + count
    assert "FLOPs" in heads()
    more.click()
    assert len(heads()) == 8


def test_an_outlier_does_not_flatten_the_plot_and_is_still_told(
    browser: Any, tmp_path: Path
) -> None:
    records = synthetic(40, finals=12, seeds=1)
    for record in records:
        if record["type"] == "result" and "lenet5" in record["trial"]:
            record["metrics"] |= {"validation_accuracy": 0.02, "test_accuracy": 0.01}
    browser.get(write_report(write(tmp_path, records)).as_uri())
    shown = "return [tradeoff.ys[0], tradeoff.asked.length, tradeoff.px(tradeoff.xs[0])]"
    low, count, _ = browser.execute_script(shown)
    assert low > 0.2
    assert count == 14  # the keyboard still reaches the outlier
    edge = "return tradeoff.py(0.01) === tradeoff.frame.bottom && tradeoff.beyond(0.01) === 1"
    assert browser.execute_script(edge)
    browser.execute_script("range.set('all')")
    low, *_ = browser.execute_script(shown)
    assert low < 0.02


def test_the_menu_has_the_names_of_the_headings(opened: Any) -> None:
    links = opened.find_elements("css selector", "nav a")
    headings = [find(opened, f"{link.get_dom_attribute('href')} h2").text for link in links]
    assert [link.text for link in links] == headings


def test_no_axis_ends_beyond_what_is_possible(opened: Any) -> None:
    tops = opened.execute_script(
        "return [tradeoff, incumbents, learning].map((plot) => plot.ys[1])"
    )
    assert max(tops) <= 1


def test_the_keyboard_reaches_a_row_and_opens_it(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    first, second = cells(opened, "rows", "name")[:2]
    find(opened, "[data-table=rows] tbody button").send_keys(Keys.ARROW_DOWN)
    focused = opened.switch_to.active_element
    assert focused.text == second != first
    focused.send_keys(Keys.ENTER)
    assert find(opened, "#row").get_attribute("open") is not None
    assert find(opened, "#row-title").text == second
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert find(opened, "#row").get_attribute("open") is None


def test_pointer_and_arrow_keys_ask_the_plot(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    canvas = find(opened, "[data-plot=tradeoff] canvas")
    opened.execute_script(
        "arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", canvas
    )
    tip, names = find(opened, "#tip"), set(cells(opened, "rows", "name"))
    told = set()
    for _ in names:
        canvas.send_keys(Keys.ARROW_RIGHT)
        told.add(tip.text.partition(",")[0])
    assert told == names  # each is reached
    canvas.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()
    x, y = opened.execute_script(
        "const p = tradeoff.shown.points.find((p) => p.opens === 'lenet5');"
        "const box = tradeoff.canvas.getBoundingClientRect();"
        "return [tradeoff.px(p.x) - box.width / 2, tradeoff.py(p.y) - box.height / 2]"
    )
    ActionChains(opened).move_to_element_with_offset(canvas, round(x), round(y)).perform()
    assert tip.is_displayed()
    assert tip.text.startswith("lenet5, classic")
    ActionChains(opened).click().perform()
    assert find(opened, "#row-title").text == "lenet5"


def test_the_theme_is_switched_and_remembered(opened: Any, page: str) -> None:
    def background() -> str:
        return str(find(opened, "body").value_of_css_property("background-color"))

    before = background()
    find(opened, "#theme").click()
    after = background()
    assert after != before
    opened.get(page)
    assert background() == after
    find(opened, "#theme").click()


def test_several_campaigns_have_colours_and_links(browser: Any, compared: str) -> None:
    browser.get(compared)
    assert set(browsers.requests(browser)) >= {compared}
    assert browser.get_log("browser") == []
    assert len(cells(browser, "rows", "name")) == 10
    legend = find(browser, "[data-plot=tradeoff] .legend").text.split("\n")
    assert legend[:2] == ["one", "two"]
    colours = "return tradeoff.shown.points.map((p) => [p.opens, p.colour])"
    of = {name.partition(":")[0]: colour for name, colour in browser.execute_script(colours)}
    assert of == {"one": "hue0", "two": "hue1"}
    find(browser, "[data-table=rows] input").send_keys("two:lenet5")
    assert cells(browser, "rows", "name") == ["two:lenet5"]
    find(browser, "[data-table=campaigns] tbody a").click()
    browsers.wait(browser, lambda: find(browser, "h1").text == "one")


@pytest.mark.slow
def test_the_list_of_campaigns_follows_them_and_leads_to_each(browser: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, synthetic(20))
    with served(Server(tmp_path, 0, several=True)) as server:
        browser.get(server.url)
        assert cells(browser, "campaigns", "trials") == ["35", "35"]
        write(tmp_path / "second", synthetic(24))
        browsers.wait(browser, lambda: cells(browser, "campaigns", "trials") == ["35", "39"])
        find(browser, "[data-table=campaigns] tbody a").click()
        browsers.wait(browser, lambda: find(browser, "h1").text == "first")
        assert browser.current_url == f"{server.url}first/"
        find(browser, "nav a").click()
        browsers.wait(browser, lambda: browser.current_url == server.url)
        assert browser.get_log("browser") == []


def test_a_box_opens_its_nodes_by_pointer_and_by_keyboard(browser: Any, drawn: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(drawn)
    first, second = browser.find_elements("css selector", "#best [data-nodes]")[:2]
    first.click()
    rows = "#best .nodes tbody tr th"
    for box, key in ((first, None), (second, Keys.ENTER)):
        if key:
            box.send_keys(key)
        names = [each.text for each in browser.find_elements("css selector", rows)]
        assert names == box.get_dom_attribute("data-nodes").split()


def test_a_row_shows_its_parent_beside_it_and_its_kernels(browser: Any, drawn: str) -> None:
    places = """
        openRow(arguments[0] ?? Object.keys(data.drawings).find((name) => data.drawings[name].parent));
        document.querySelector("#row .pair")?.parentElement.setAttribute("open", "");
        return [...document.querySelectorAll("#row .pair .drawing")].map((each) => {
            const { left, right, top, bottom } = each.getBoundingClientRect();
            return [each.querySelector("title").textContent, left, right, top, bottom];
        });
    """  # noqa: E501
    for width in (1280, 390):
        with screen(browser, width):
            browser.get(drawn)
            (parent, _, right, top, bottom), (child, left, _, below, _) = browser.execute_script(
                places, None
            )
            assert parent != child == find(browser, "#row-title").text
            assert (right <= left, top == below) == (width > 500,) * 2
            assert width > 500 or bottom <= below
    browser.get(drawn)
    browser.execute_script(places, "resnet20")
    find(browser, "#row .drawing [data-nodes~=conv1]").click()
    [picture] = browser.find_elements("css selector", "#row .nodes img")
    assert picture.get_property("naturalWidth") >= 240
    assert picture.get_dom_attribute("alt") == "kernels of conv1; grey is zero"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["page", "compared", "drawn", "listed"])
def test_axe_finds_nothing_serious(
    browser: Any, which: str, request: pytest.FixtureRequest
) -> None:
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core is not installed").Axe()
    for width in (1280, 768, 390):
        with screen(browser, width):
            browser.get(request.getfixturevalue(which))
            for _ in ("light", "dark"):
                found = axe.run(browser)["violations"]
                serious = [each for each in found if each["impact"] in ("serious", "critical")]
                assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
                find(browser, "#theme").click()


def test_the_live_page_takes_news_and_keeps_what_one_has_set(browser: Any, tmp_path: Path) -> None:
    write(tmp_path, synthetic(300, finals=0))
    browser.get("about:blank")
    browsers.requests(browser)
    with served(Server(tmp_path, 0)) as server:
        browser.get(server.url)
        assert "Partial report" in find(browser, "[data-part=partial]").text
        count = find(browser, "[data-table=trials] output")
        assert count.text == "300 rows"
        find(browser, "[data-table=trials] input").send_keys("random")
        find(browser, "[data-table=trials] th[data-column=macs] button").click()
        scroll = find(browser, "[data-table=trials] .scroll")
        browser.execute_script("arguments[0].scrollTop = 900", scroll)
        write(tmp_path, synthetic(320))
        browsers.wait(browser, lambda: count.text == "163 of 335 rows")
        assert scroll.get_property("scrollTop") == 900
        macs = [int(text.replace(",", "")) for text in cells(browser, "trials", "macs")]
        assert macs == sorted(macs)
        assert len(cells(browser, "rows", "name")) == 5
        assert "Partial report" not in find(browser, "[data-part=partial]").text
        assert set(browsers.requests(browser)) == {server.url, f"{server.url}state"}
