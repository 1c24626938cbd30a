"""Writes the dashboards, and what Kubernetes gets of dashboards and rules: `python -m monitoring.generate`.

kustomize reads no files outside of a component, so the component of Kubernetes has copies, written here and held alike by a test.
"""

from __future__ import annotations

import sys
from pathlib import Path

from monitoring.boards import ALL
from monitoring.panels import written

HOUSE = Path(__file__).resolve().parent.parent
DASHBOARDS = Path("monitoring/dashboards")
RULES = Path("monitoring/rules/labelmesh.yaml")
COMPONENT = Path("k8s/components/monitoring")
_RULE = """# Written by `python -m monitoring.generate` out of monitoring/rules/labelmesh.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: labelmesh
  labels:
    app.kubernetes.io/name: labelmesh
spec:
"""


def generated(rules: str) -> dict[Path, str]:
    """Every file that is written here, by its path in the repository, out of the rules as they stand."""
    files = {DASHBOARDS / f"{board.name}.json": written(board) for board in ALL}
    files |= {COMPONENT / "dashboards" / path.name: content for path, content in files.items()}
    begins = rules.index("groups:\n")
    indented = "".join(f"  {line}\n" if line else "\n" for line in rules[begins:].splitlines())
    return {**files, COMPONENT / "rules.yaml": _RULE + indented}


def main() -> None:
    """Writes what is not as it should be, and says what that was."""
    for path, content in generated((HOUSE / RULES).read_text()).items():
        target = HOUSE / path
        if not target.is_file() or target.read_text() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
