"""The report's page in a real Chromium (``make browser``): by eye in light and dark, on a phone, by keyboard, by axe-core."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

AXE = """
const done = arguments[arguments.length - 1];
document.querySelectorAll("details").forEach((one) => { one.open = true; });
axe.run().then((found) => done(found.violations.map(
  (one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target).join(" | ")}`)));
"""
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}


def colours(browser, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def background(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def found(browser):
    return browser.find_element(By.ID, "found").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser, any_page, axe, scheme, phone):
    colours(browser, scheme)
    if phone:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(any_page)
    browser.execute_script(axe)

    assert browser.execute_async_script(AXE) == []


def test_dark_is_another_colour_than_light(browser, failing_page):
    browser.get(failing_page)
    colours(browser, "light")
    light = background(browser)
    colours(browser, "dark")

    assert background(browser) != light


def test_a_phone_needs_no_sideways_scrolling(browser, failing_page):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(failing_page)
    browser.execute_script('document.querySelectorAll("details").forEach((one) => { one.open = true; })')

    wide, seen = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")

    assert wide <= seen


def test_the_page_loads_nothing_and_the_console_is_silent(browser, failing_page):
    browser.get(failing_page)

    assert browser.execute_script('return performance.getEntriesByType("resource").length') == 0
    assert browser.get_log("browser") == []


def test_hostile_text_is_read_and_not_run(browser, failing_page):
    browser.get(failing_page)

    assert "<script>alert('no')</script>" in browser.find_element(By.TAG_NAME, "main").text


def test_the_search_narrows_the_checks_as_one_types(browser, failing_page):
    browser.get(failing_page)
    assert found(browser) == "8 checks"

    browser.find_element(By.ID, "search").send_keys("near_miss marker")

    assert found(browser) == "6 checks"


def test_the_verdict_narrows_the_checks(browser, failing_page):
    browser.get(failing_page)

    browser.find_element(By.ID, "verdict").send_keys("failed")

    assert found(browser) == "1 checks"
    shown = [one for one in browser.find_elements(By.CLASS_NAME, "check") if one.is_displayed()]
    assert [one.get_attribute("data-verdict") for one in shown] == ["failed"]


def test_the_keyboard_alone_opens_a_check(browser, failing_page):
    browser.get(failing_page)
    press = browser.switch_to.active_element.send_keys
    press(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("class") == "skip"

    for _ in range(80):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        if focused.tag_name == "summary" and "near_miss[3]" in focused.text:
            break
    else:
        pytest.fail("80 times Tab do not reach the check")
    focused.send_keys(Keys.ENTER)

    assert focused.find_element(By.XPATH, "..").get_attribute("open") is not None


def test_a_link_from_the_profile_opens_its_check(browser, failing_page):
    browser.get(failing_page)

    browser.find_element(By.CSS_SELECTOR, 'a[title$="near_miss[2]"]').send_keys(Keys.ENTER)

    target = browser.switch_to.active_element
    assert "near_miss[2]" in target.text
    assert target.find_element(By.XPATH, "..").get_attribute("open") is not None
