"""Metadata, expirations and key names: what is kept, and what is refused with which words."""

import json

from tests.workers.case import Case, get_refused, put_refused

_OLD = 'await kv.put("k", "old", {metadata: "old"});'
_REFUSED_ANYWAY = {"value": "old", "metadata": "old"}


def _metadata(name: str, javascript: str, parsed: object) -> Case:
    """Metadata, and what it is parsed to in a read, in a list and in a bulk read."""
    script = (
        f'await kv.put("k", "v", {{metadata: {javascript}}});'
        'return [(await kv.getWithMetadata("k")).metadata,'
        ' (await kv.list()).keys[0].metadata ?? null,'
        ' (await kv.getWithMetadata(["k"])).get("k").metadata]'
    )  # fmt: skip
    return Case(name, script, [parsed, parsed, parsed])


def _refused_put(name: str, options: str, reason: str) -> Case:
    """Options that are refused, and leave what is there as it is."""
    script = (
        f'{_OLD} return [await failure(kv.put("k", "new", {options})),'
        ' await kv.getWithMetadata("k")]'
    )
    return Case(name, script, [reason, _REFUSED_ANYWAY])


METADATA = (
    _metadata("an object", '{a: 1, "b c": [true, null, {}]}', {"a": 1, "b c": [True, None, {}]}),
    _metadata("a string", '"text"', "text"),
    _metadata("a string that is JSON", '"{\\"a\\":1}"', '{"a":1}'),
    _metadata("an empty string", '""', ""),
    _metadata("zero", "0", 0),
    _metadata("false", "false", False),
    _metadata("a number", "-1.5e300", -1.5e300),
    _metadata("null is none", "null", None),
    _metadata("undefined is none", "undefined", None),
    _metadata("unicode", '{"é": "🤓", ü: ["日本"]}', {"é": "🤓", "ü": ["日本"]}),
    _metadata("line separators and C1", '"\\u2028\\u2029\\u0085\\u009f\\u007f"',
              "\u2028\u2029\u0085\u009f\u007f"),
    _metadata("what JSON escapes", '"\\r\\n\\t\\u0000\\"\\\\"', '\r\n\t\0"\\'),
    _metadata("spaces at the ends", '" a "', " a "),
    _metadata("all 1024 bytes", '"x".repeat(1022)', "x" * 1022),
    _metadata("1024 bytes of two-byte characters", '"é".repeat(511)', "é" * 511),
    _refused_put("1025 bytes of metadata", '{metadata: "x".repeat(1023)}',
                 put_refused("413 Metadata length of 1025 exceeds limit of 1024.")),
    _refused_put("characters count as bytes", '{metadata: "é".repeat(512)}',
                 put_refused("413 Metadata length of 1026 exceeds limit of 1024.")),
    _refused_put("a lot of metadata", '{metadata: "x".repeat(20000)}',
                 put_refused("413 Metadata length of 20002 exceeds limit of 1024.")),
)  # fmt: skip


def _kept_expiration(name: str, options: str, seconds_from_now: str) -> Case:
    """An expiration that is kept; the two clocks may tick in between."""
    script = (
        f'const began = now(); await kv.put("k", "v", {options});'
        "const seen = (await kv.list()).keys[0].expiration; const ended = now();"
        f"return seen >= began + {seconds_from_now} && seen <= ended + {seconds_from_now}"
        ' && await kv.get("k") === "v"'
    )
    return Case(name, script, True)


def _bad_ttl(given: str, shown: str) -> Case:
    least = "Please specify integer greater than 0."
    return _refused_put(f"ttl of {given}", f"{{expirationTtl: {given}}}",
        put_refused(f"400 Invalid expiration_ttl of {shown}. {least}"))  # fmt: skip


def _near_ttl(given: int) -> Case:
    return _refused_put(f"ttl of {given}", f"{{expirationTtl: {given}}}",
        put_refused(f"400 Invalid expiration_ttl of {given}."
                    " Expiration TTL must be at least 60."))  # fmt: skip


EXPIRATIONS = (
    _kept_expiration("ttl of 60", "{expirationTtl: 60}", "60"),
    _kept_expiration("fractions of a ttl are cut off", "{expirationTtl: 60.9}", "60"),
    _kept_expiration("ttl of 68 years", "{expirationTtl: 2147483647}", "2147483647"),
    _kept_expiration("expiration", "{expiration: now() + 100}", "100"),
    _kept_expiration("the ttl wins", "{expiration: now() + 1000, expirationTtl: 100}", "100"),
    _kept_expiration("and the expiration is not checked", "{expiration: 1, expirationTtl: 100}",
                     "100"),
    _bad_ttl("0", "0"), _bad_ttl("-1", "-1"), _bad_ttl("NaN", "0"), _bad_ttl("null", "0"),
    _near_ttl(1), _near_ttl(59),
    _refused_put("a bad ttl beside a good expiration", "{expirationTtl: 0, expiration: now() + 90}",
        put_refused("400 Invalid expiration_ttl of 0. Please specify integer greater than 0.")),
    _refused_put("an expiration of long ago", "{expiration: 1}",
        put_refused("400 Invalid expiration of 1. Please specify integer greater than the current"
                    " number of seconds since the UNIX epoch.")),
    _refused_put("no number", "{expiration: NaN}",
        put_refused("400 Invalid expiration of 0. Please specify integer greater than the current"
                    " number of seconds since the UNIX epoch.")),
    Case(
        "an expiration that is too near",
        f'{_OLD} const near = now() + 50; const why = await failure(kv.put("k", "new",'
        ' {expiration: near})); return why.replace(`${near}`, "T")',
        put_refused("400 Invalid expiration of T. Expiration times must be at least 60 seconds in"
                    " the future."),
    ),
    Case(
        "beyond 32 bits",
        'return await failure(kv.put("k", "v", {expirationTtl: 2147483648}))',
        "TypeError: Value out of range. Must be between -2147483648 and 2147483647 (inclusive).",
    ),
)  # fmt: skip

_ODD_NAMES = (
    "a/b", "/", "//", "a//b/", "bulk/get", "a%2Fb", "%", "%25", "a+b", "a b", " ", "?", "a?b=c",
    "#x", "&=;,:@!$'()*~[]|^`{}<>\"\\", "é", "e\u0301", "日本語", "🤓", "\uff5e", "\x00", "\n\r\t",
    "\x7f", "\u0085", "...", "../x", "./x", "x/..", "x/./y", "__proto__", "constructor", "-",
    "x" * 512, "é" * 256,
)  # fmt: skip

KEYS = (
    *(
        Case(
            f"a key named {name[:20]!a}",
            f'const name = {json.dumps(name)}; await kv.put(name, "v", {{metadata: "m"}});'
            "const read = await kv.getWithMetadata(name), listed = names(await kv.list());"
            "await kv.delete(name); return [read, listed, await kv.get(name)]",
            [{"value": "v", "metadata": "m"}, [name], None],
        )
        for name in _ODD_NAMES
    ),
    Case(
        "names that differ a little are different",
        'const odd = ["a", "A", "é", "e\\u0301", "a/", "a%2F", "a+", "a "];'
        "await Promise.all(odd.map((name) => kv.put(name, name)));"
        "return await Promise.all(odd.map((name) => kv.get(name)))",
        ["a", "A", "é", "e\u0301", "a/", "a%2F", "a+", "a "],
    ),
    *(
        Case(f"names that are {shown}",
             f'await kv.put({given}, "v"); return names(await kv.list())', [text])
        for shown, given, text in (
            ("numbers", "5", "5"), ("null", "null", "null"), ("objects", "{}", "[object Object]"),
        )
    ),
    *(
        Case(f"the name {name!r}", f'return await failure(kv.{call})', message)
        for name, message in (
            ("", "TypeError: Key name cannot be empty."),
            (".", 'TypeError: "." is not allowed as a key name.'),
            ("..", 'TypeError: ".." is not allowed as a key name.'),
        )
        for call in (f'get("{name}")', f'put("{name}", "v")', f'delete("{name}")')
    ),
    *(
        Case(
            f"{operation} of 513 bytes",
            f'return await failure(kv.{call})',
            f"Error: KV {operation} failed: 414 UTF-8 encoded length of 513 exceeds key length"
            " limit of 512.",
        )
        for operation, call in (
            ("GET", 'get("é".repeat(256) + "x")'),
            ("PUT", 'put("é".repeat(256) + "x", "v")'),
            ("DELETE", 'delete("é".repeat(256) + "x")'),
        )
    ),
    Case(
        "half a surrogate pair",
        'return await failure(kv.get("\\ud800"))',
        get_refused("400 Could not URL-decode key name"),
    ),
)  # fmt: skip


def _mistyped(method: str, position: int, kind: str) -> str:
    return (
        f"TypeError: Failed to execute '{method}' on 'KvNamespace':"
        f" parameter {position} is not of type '{kind}'."
    )


ARGUMENTS = (
    Case(
        "null stands for no options",
        'await kv.put("k", "v", null); return [await kv.get("k", null),'
        ' await kv.getWithMetadata("k", null), names(await kv.list(null)),'
        ' await kv.get(["k"], null)]',
        ["v", {"value": "v", "metadata": None}, ["k"], {"map": [["k", "v"]]}],
    ),
    *(
        Case(f"{call} is refused by the runtime",
             f"return await failure((async () => kv.{call})())", _mistyped(*why))
        for call, why in (
            ("get()", ("get", 1, "string or Array")),
            ("getWithMetadata()", ("getWithMetadata", 1, "Array or string")),
            ("put()", ("put", 1, "string")),
            ('put("k")', ("put", 2, "string or Object")),
            ("delete()", ("delete", 1, "string")),
            ('put("k", "v", "text")', ("put", 3, "PutOptions")),
            ('put("k", "v", 60)', ("put", 3, "PutOptions")),
            ("list(5)", ("list", 1, "ListOptions")),
            ('list("prefix")', ("list", 1, "ListOptions")),
        )
    ),
    *(
        Case(f"a BigInt is no number: {call}",
             f"return await failure((async () => kv.{call})())",
             "TypeError: Cannot convert a BigInt value to a number")
        for call in (
            'put("k", "v", {expirationTtl: 120n})', 'put("k", "v", {expiration: 2n ** 33n})',
            'get("k", {cacheTtl: 60n})', 'get(["k"], {cacheTtl: 60n})', "list({limit: 5n})",
            "list({limit: 0n})",
        )
    ),
    Case(
        "an endless limit is none",
        'await kv.put("k", "v"); return names(await kv.list({limit: Infinity}))',
        ["k"],
    ),
    Case(
        "a limit beyond 31 bits",
        "return await failure(kv.list({limit: 2 ** 31}))",
        "TypeError: Value out of range. Must be between -2147483648 and 2147483647 (inclusive).",
    ),
    Case(
        "half a surrogate pair in a prefix, and in a cursor",
        'return [await failure(kv.list({prefix: "a\\udfff"})),'
        ' await failure(kv.list({cursor: "\\ud800"}))]',
        [get_refused("400 prefix: is not valid UTF-8 at byte 1"),
         get_refused("400 cursor: is not valid UTF-8 at byte 0")],
        miniflare=["fine", "fine"],
    ),
    Case(
        "a whole surrogate pair in a prefix",
        'await kv.put("🤓a", "v"); return names(await kv.list({prefix: "🤓"}))',
        ["🤓a"],
    ),
    Case(
        "half a surrogate pair among many keys",
        'return await kv.get(["\\ud800x"])',
        {"map": [["\ufffd\ufffd\ufffdx", None]]},
    ),
    Case(
        "an empty type of many keys is none",
        'await kv.put("k", "v"); return [await kv.get(["k"], ""), await kv.get(["k"], {type: ""})]',
        [{"map": [["k", "v"]]}, {"map": [["k", "v"]]}],
    ),
)  # fmt: skip
