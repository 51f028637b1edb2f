"""promtool, which comes with Prometheus and knows its rules and its language."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

PACKAGE: Final = "prometheus"


def why_missing() -> str | None:
    """What keeps it from being used here, or None."""
    try:
        done = subprocess.run(("promtool", "--version"), capture_output=True, text=True)
    except FileNotFoundError:
        return f"not installed: {PACKAGE}"
    return None if done.returncode == 0 else f"promtool does not run: {done.stderr[-200:]}"


def promtool(*arguments: str | Path) -> str:
    """What it has to complain of; nothing when all is well."""
    done = subprocess.run(("promtool", *arguments), capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def complaints_of(expressions: Iterable[str], directory: Path) -> str:
    """What is wrong with the language of `expressions`."""
    rules = [
        {"record": f"expression:{number}", "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    file = directory / "expressions.yml"
    file.write_text(json.dumps({"groups": [{"name": "expressions", "rules": rules}]}))
    return promtool("check", "rules", file)


def firing(
    rules: Path, series: Mapping[str, str], minutes: int, expected: Mapping[str, int], at: Path
) -> str:
    """What differs from `expected`: by alert and instance, as in "Alert x", whether it fires after
    so many minutes of `series`. The test's file goes to `at`."""
    group = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            _is_firing(alert, minutes, fires) for alert, fires in expected.items()
        ],
    }
    document = {
        "rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [group],
    }  # fmt: skip
    at.write_text(json.dumps(document))
    return promtool("test", "rules", at)


def _is_firing(alert: str, minutes: int, fires: int) -> Mapping[str, object]:
    name, _, instance = alert.partition(" ")
    chosen = f'ALERTS{{alertname="{name}",alertstate="firing",instance="{instance}"}}'
    return {
        "expr": f"count({chosen}) or vector(0)",
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": "{}", "value": fires}],
    }
