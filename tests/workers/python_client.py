"""What one user of Cloudflare's Python SDK does; run by the interpreter that has the SDK.

Prints one JSON object: what came of each step.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

cloudflare: Any = importlib.import_module("cloudflare")

DEADLINE_S = 30.0
ODD = "odd key é🤓 %2F+&=;:@!"
SOME = [f"bulk/{number:04}" for number in range(1500)]


def steps(account: str, title: str) -> dict[str, Any]:
    client = cloudflare.Cloudflare(max_retries=0)
    kv = client.kv.namespaces
    done: dict[str, Any] = {}
    made = kv.create(account_id=account, title=title)
    done["create"] = made.title
    at = {"account_id": account, "namespace_id": made.id}
    done["create again"] = failure(lambda: kv.create(account_id=account, title=title))
    done["get"] = kv.get(made.id, account_id=account).title
    done["list"] = [one.title for one in kv.list(account_id=account) if one.id == made.id]
    done["rename"] = kv.update(made.id, account_id=account, title=title + "2").title
    try:
        done.update(_values(kv, at))
        done.update(_many(kv, made.id, at))
    finally:
        kv.delete(made.id, account_id=account)
    done["get deleted"] = failure_in_time(lambda: kv.get(made.id, account_id=account))
    done["put into deleted"] = failure_in_time(
        lambda: kv.values.update("k", value=as_value("v"), metadata="{}", **at)
    )
    return done


def _values(kv: Any, at: dict[str, str]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    kv.values.update(ODD, value=as_value("text é"), metadata={"é": [1]}, expiration_ttl=90, **at)
    answer = kv.values.get(ODD, **at)
    done["value"] = answer.read().decode()
    done["expires"] = 60 < int(answer.headers["expiration"]) - now(answer) <= 91
    done["metadata"] = kv.metadata.get(ODD, **at)
    done["name"] = [one.name for one in kv.keys.list(**at)]
    done["delete"] = failure(lambda: kv.values.delete(ODD, **at))
    done["value of nothing"] = failure(lambda: kv.values.get(ODD, **at))
    done["metadata of nothing"] = failure(lambda: kv.metadata.get(ODD, **at))
    done["ttl too short"] = failure(
        lambda: kv.values.update("k", value=as_value("v"), metadata="{}", expiration_ttl=5, **at)
    ).split(":")[0]
    return done


def _many(kv: Any, namespace: str, at: dict[str, str]) -> dict[str, Any]:
    account = {"account_id": at["account_id"]}
    done: dict[str, Any] = {}
    pairs: list[dict[str, Any]] = [{"key": key, "value": key} for key in SOME]
    pairs[0] |= {"metadata": {"first": True}, "value": "AAE=", "base64": True}
    written = kv.bulk_update(namespace, body=pairs, **account)
    done["bulk put"] = [written.successful_key_count, written.unsuccessful_keys]
    listed = list(kv.keys.list(prefix="bulk/", limit=1000, **at))
    done["pages of names"] = [one.name for one in listed] == SOME
    done["listed metadata"] = [listed[0].metadata, listed[1].metadata]
    done["bytes"] = list(kv.values.get(SOME[0], **at).read())
    read = kv.bulk_get(namespace, keys=[SOME[1], "missing"], **account)
    done["bulk get"] = read.values
    whole = kv.bulk_get(namespace, keys=[SOME[0]], with_metadata=True, **account)
    done["bulk get with metadata"] = plain(whole.values)
    gone = kv.bulk_delete(namespace, body=SOME, **account)
    done["bulk delete"] = [gone.successful_key_count, gone.unsuccessful_keys]
    done["nothing left"] = [one.name for one in kv.keys.list(prefix="bulk/", **at)]
    return done


def as_value(text: str) -> Any:
    """SDK 5 takes files; SDK 4 takes text."""
    return text if cloudflare.__version__.startswith("4.") else text.encode()


def failure(step: Callable[[], Any]) -> str:
    """What a step fails with."""
    try:
        step()
    except cloudflare.APIStatusError as error:
        codes = [one.code for one in error.errors]
        return f"{type(error).__name__}: {error.status_code} {codes}"
    return "fine"


def failure_in_time(step: Callable[[], Any]) -> str:
    """The same, once it fails: another process of the gateway may not yet know of a deletion."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (told := failure(step)) == "fine" and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return told


def now(answer: Any) -> int:
    """The server's clock."""
    dates: Any = importlib.import_module("email.utils")
    return int(dates.parsedate_to_datetime(answer.headers["date"]).timestamp())


def plain(values: Any) -> Any:
    return {key: one if isinstance(one, dict) else one.to_dict() for key, one in values.items()}


if __name__ == "__main__":
    print(json.dumps(steps(*sys.argv[1:])))
