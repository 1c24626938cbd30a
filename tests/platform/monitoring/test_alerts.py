"""Alert rules: each is said to somebody, has an entry in the runbook, and fires when it should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from monitoring.boards import ALL
from tests.support.prometheus import HOUSE, RULES, program, rules_for_tests

HERE = Path(__file__).parent
RUNBOOK = HOUSE / "docs" / "runbook.md"
# What every entry of the runbook says, in this order.
PARTS = ("What it means", "What users notice", "Where to look", "What to do", "What not to do")


def _rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def test_the_rules_are_rules() -> None:
    done = subprocess.run([program("promtool"), "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_how_urgent_it_is_what_it_is_and_where_its_entry_in_the_runbook_is() -> None:
    for name, rule in _alerts().items():
        assert rule["labels"]["severity"] in ("page", "ticket"), name
        texts = rule["annotations"]
        assert set(texts) == {"summary", "description", "runbook_url"}, name
        assert texts["runbook_url"] == f"docs/runbook.md#{name.lower()}", name
        assert texts["description"].endswith("."), name
        assert not texts["summary"].endswith("."), name


def test_the_runbook_has_an_entry_for_every_alert_and_none_for_others() -> None:
    entries = re.split(r"^### ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    by_name = {entry.partition("\n")[0].strip(): entry for entry in entries}
    assert set(by_name) == set(_alerts())
    for name, entry in by_name.items():
        places = [entry.find(f"**{part}.**") for part in PARTS]
        assert -1 not in places and places == sorted(places), name


def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path: Path) -> None:
    (tmp_path / "labelmesh.yaml").write_text(yaml.safe_dump(rules_for_tests()))
    files = sorted(HERE.glob("alerts*.yaml"))
    for file in files:
        (tmp_path / file.name).write_text(file.read_text())
    command = [program("promtool"), "test", "rules", *(file.name for file in files)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def test_every_alert_is_tried_with_what_makes_it_fire_and_with_what_does_not() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for file in HERE.glob("alerts*.yaml"):
        for case in yaml.safe_load(file.read_text())["tests"]:
            for tried in case["alert_rule_test"]:
                # With labels of its own, an alert that fires for some of the series does not for the others.
                (fires if tried["exp_alerts"] else silent).add(tried["alertname"])
                if any(set(expected["exp_labels"]) - {"severity"} for expected in tried["exp_alerts"]):
                    silent.add(tried["alertname"])
    assert fires == silent == set(_alerts())


def test_settings_that_the_runbook_names_exist() -> None:
    named = set(re.findall(r"LABELMESH_[A-Z0-9_]+", RUNBOOK.read_text()))
    assert named and named <= set(re.findall(r"LABELMESH_[A-Z0-9_]+", (HOUSE / "docs" / "settings.md").read_text()))


def test_dashboards_and_panels_that_the_runbook_names_exist() -> None:
    titles = {panel.title for board in ALL for row in board.rows for panel in row.panels}
    text = " ".join(RUNBOOK.read_text().split())
    named = set(re.findall(r"(?<![*\w])\*([A-Z][^*]+)\*(?!\*)", text))
    assert named and named <= titles
    boards = {board.title for board in ALL}
    assert set(re.findall(r'"(labelmesh [^"]+)"', text)) <= boards
