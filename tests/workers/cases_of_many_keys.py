"""Lists with their pages, and reads of many keys at once."""

from tests.workers.case import Case, bulk_refused, get_refused

_FIVE = 'for (const name of ["a1", "a2", "b1", "b2", "c"]) await kv.put(name, name);'
_MIB = 1024 * 1024

LISTS = (
    Case("of nothing", "return await kv.list()", {"keys": [], "list_complete": True}),
    Case(
        "in the order of UTF-8, not of UTF-16",
        'const odd = ["🤓", "\\uff5e", "é", "z", "Z", "a/b", "a", "a!", "\\u0001", "0"];'
        'await Promise.all(odd.map((name) => kv.put(name, "")));'
        "return names(await kv.list())",
        ["\u0001", "0", "Z", "a", "a!", "a/b", "z", "é", "\uff5e", "🤓"],
    ),
    Case(
        "with metadata and expiration, in just these members",
        'await kv.put("a", "", {metadata: {m: 1}, expiration: 4000000000 - 1 - 2000000000});'
        'await kv.put("b", "", {metadata: "s"}); await kv.put("c", ""); return await kv.list()',
        {
            "keys": [
                {"name": "a", "expiration": 1999999999, "metadata": {"m": 1}},
                {"name": "b", "metadata": "s"},
                {"name": "c"},
            ],
            "list_complete": True,
        },
    ),
    *(
        Case(f"by prefix {prefix!r}",
             f'{_FIVE} return names(await kv.list({{prefix: "{prefix}"}}))', names)
        for prefix, names in (
            ("", ["a1", "a2", "b1", "b2", "c"]), ("a", ["a1", "a2"]), ("b2", ["b2"]), ("A", []),
            ("a1x", []), ("*", []), ("%61", []),
        )
    ),
    Case(
        "by prefixes with odd characters",
        'const odd = ["a+b", "a b", "a/b", "a%2Fb", "a&b", "a=b", "a#b", "a?b", "é/🤓"];'
        'await Promise.all(odd.map((name) => kv.put(name, "")));'
        "return await Promise.all(odd.map(async (name) => names(await kv.list({prefix: name}))))",
        [["a+b"], ["a b"], ["a/b"], ["a%2Fb"], ["a&b"], ["a=b"], ["a#b"], ["a?b"], ["é/🤓"]],
    ),
    Case(
        "in pages",
        f"{_FIVE} const pages = []; let cursor;"
        "do { const page = await kv.list({limit: 2, cursor});"
        " pages.push([names(page), page.list_complete]); cursor = page.cursor; } while (cursor);"
        "return pages",
        [[["a1", "a2"], False], [["b1", "b2"], False], [["c"], True]],
    ),
    Case(
        "nothing follows a page that ends with the last name",
        f"{_FIVE} const page = await kv.list({{limit: 5}});"
        "const rest = page.list_complete ? [] : names(await kv.list({cursor: page.cursor}));"
        "return [names(page).length, rest]",
        [5, []],
    ),
    Case(
        "pages of a prefix, with another limit each",
        f'{_FIVE} const one = await kv.list({{prefix: "a", limit: 1}});'
        'const two = await kv.list({prefix: "a", limit: 1000, cursor: one.cursor});'
        "return [names(one), names(two), two.list_complete]",
        [["a1"], ["a2"], True],
    ),
    Case(
        "a cursor means: after this name",
        f'{_FIVE} const {{cursor}} = await kv.list({{limit: 2}}); await kv.delete("a2");'
        'await kv.put("a0", ""); await kv.put("a3", "");'
        "return [names(await kv.list({cursor})), names(await kv.list({cursor, limit: 1}))]",
        [["a3", "b1", "b2", "c"], ["a3"]],
    ),
    Case(
        "empty options",
        f'{_FIVE} return names(await kv.list({{prefix: "", cursor: "", limit: 0}})).length',
        5,
    ),
    Case(
        "null options",
        f"{_FIVE} return names(await kv.list({{prefix: null, cursor: null}})).length",
        5,
    ),
    Case(
        "a negative limit is none, and so is a half",
        f"{_FIVE} return [names(await kv.list({{limit: -1}})).length,"
        " names(await kv.list({limit: 0.5})).length]",
        [5, 5],
    ),
    Case(
        "a limit over 1000",
        "return await failure(kv.list({limit: 1001}))",
        get_refused(
            "400 Invalid key_count_limit of 1001. Please specify an integer less than 1000."
        ),
    ),
    Case(
        "1000 a page",
        "await Promise.all(Array.from({length: 1001}, (_, i) => kv.put(`${i}`, ``)));"
        "const page = await kv.list(), rest = await kv.list({cursor: page.cursor});"
        "return [names(page).length, page.list_complete, names(rest), rest.list_complete]",
        [1000, False, ["999"], True],
    ),
    Case(
        "a prefix over 512 bytes",
        'return await failure(kv.list({prefix: "x".repeat(513)}))',
        get_refused("414 UTF-8 encoded length of 513 exceeds key length limit of 512."),
    ),
    Case(
        "a cursor that is none",
        'await kv.put("a", ""); return (await failure(kv.list({cursor: "???"}))).slice(0, 25)',
        get_refused("400"),
        miniflare="fine",
    ),
)  # fmt: skip


def _refused_bulk(name: str, arguments: str, reason: str) -> Case:
    return Case(name, f"return await failure(kv.get({arguments}))", bulk_refused(reason))


BULK_READS = (
    Case(
        "in the order asked for, each once, null for what is missing",
        'await kv.put("a", "1"); await kv.put("é/🤓", "2"); await kv.put("empty", "");'
        'return await kv.get(["é/🤓", "missing", "a", "é/🤓", "empty"])',
        {"map": [["é/🤓", "2"], ["missing", None], ["a", "1"], ["empty", ""]]},
    ),
    Case(
        "of one hundred",
        "const all = Array.from({length: 100}, (_, i) => `k${i}`);"
        "await Promise.all(all.map((name) => kv.put(name, name)));"
        "const read = await kv.get(all); return all.every((name) => read.get(name) === name)",
        True,
    ),
    Case(
        "as json",
        'await kv.put("zero", "0"); await kv.put("false", "false"); await kv.put("null", "null");'
        'await kv.put("object", "{\\"a\\": [1]}");'
        'return await kv.get(["zero", "false", "null", "object", "missing"], "json")',
        {"map": [["zero", 0], ["false", False], ["null", None], ["object", {"a": [1]}],
                 ["missing", None]]},
    ),
    Case(
        "with metadata",
        'await kv.put("a", "v", {metadata: {m: "é"}}); await kv.put("b", "");'
        'return await kv.getWithMetadata(["b", "missing", "a"])',
        {"map": [["b", {"value": "", "metadata": None}], ["missing", None],
                 ["a", {"value": "v", "metadata": {"m": "é"}}]]},
    ),
    Case(
        "json with metadata",
        'await kv.put("a", "[1]", {metadata: 0}); return await kv.getWithMetadata(["a"], "json")',
        {"map": [["a", {"value": [1], "metadata": 0}]]},
    ),
    Case("invalid UTF-8 is replaced",
         'await kv.put("a", bytes(97, 255)); return await kv.get(["a"])',
         {"map": [["a", "a\ufffd"]]}),
    Case("names that are members of every object",
         'await kv.put("__proto__", "p"); await kv.put("constructor", "c");'
         'return await kv.get(["__proto__", "constructor", "toString"])',
         {"map": [["__proto__", "p"], ["constructor", "c"], ["toString", None]]},
         miniflare={"map": [["constructor", "c"], ["toString", None]]}),
    Case("with cacheTtl", 'await kv.put("a", "v"); return await kv.get(["a"], {cacheTtl: 30})',
         {"map": [["a", "v"]]}),
    _refused_bulk("of no key", "[]", "400 You must request a minimum of 1 key"),
    _refused_bulk("of 101 keys", "Array.from({length: 101}, (_, i) => `k${i}`)",
                  "400 You can request a maximum of 100 keys"),
    _refused_bulk("as bytes", '["a"], "arrayBuffer"',
                  '400 "arrayBuffer" is not a valid type. Use "json" or "text"'),
    _refused_bulk("as null", '["a"], {type: null}',
                  '400 "null" is not a valid type. Use "json" or "text"'),
    _refused_bulk("of an empty name", '["a", ""]', "400 Key names must not be empty"),
    _refused_bulk("of a dot", '["."]',
                  '400 Illegal key name ".". Please use a different name.'),
    _refused_bulk("of 513 bytes", '["x".repeat(513)]',
                  "414 UTF-8 encoded length of 513 exceeds key length limit of 512."),
    _refused_bulk("cacheTtl below 30", '["a"], {cacheTtl: 29}',
                  "400 Invalid cache_ttl of 29. Cache TTL must be at least 30."),
    Case(
        "json of what is none",
        'await kv.put("a", "{"); await kv.put("b", "1");'
        'return await failure(kv.get(["b", "a"], "json"))',
        bulk_refused("400 At least one of the requested keys corresponds to a non-json value"),
    ),
    Case(
        "json of what is empty",
        'await kv.put("a", ""); return await failure(kv.get(["a"], "json"))',
        bulk_refused("400 At least one of the requested keys corresponds to a non-json value"),
    ),
    Case(
        "more than 25 MiB together",
        f'await kv.put("a", filled({13 * _MIB})); await kv.put("b", filled({13 * _MIB}));'
        'return await failure(kv.get(["a", "b"]))',
        bulk_refused("413 Total size of request exceeds the limit of 25MB"),
    ),
)  # fmt: skip
