"""What can be stored, and in which forms it comes back."""

from tests.workers.case import Case, get_refused, put_refused

_BIG = 25 * 1024 * 1024
_NOT_STREAMABLE = (
    "TypeError: KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams"
    " as values."
)


def _value(name: str, javascript: str, text: str) -> Case:
    """A value of any kind, and what it reads as."""
    script = f'await kv.put("k", {javascript}); return await kv.get("k")'
    return Case(name, script, text)


VALUES = (
    _value("string", '"text"', "text"),
    _value("empty string", '""', ""),
    _value("unicode", '"e\\u0301 é 🤓 \\u2028 \\u0000"', "e\u0301 é 🤓 \u2028 \0"),
    _value("number", "5", "5"),
    _value("boolean", "false", "false"),
    _value("null", "null", "null"),
    _value("undefined", "undefined", "undefined"),
    _value("bigint", "12345678901234567890n", "12345678901234567890"),
    _value("array buffer", "bytes(97, 98).buffer", "ab"),
    _value("view of a part", "bytes(97, 98, 99, 100).subarray(1, 3)", "bc"),
    _value("data view", "new DataView(bytes(97, 98, 99).buffer, 1)", "bc"),
    _value("empty buffer", "new ArrayBuffer(0)", ""),
    _value("stream of known length", 'new Response("known").body', "known"),
    _value("chunked stream", 'streamed("un", "kno", "wn")', "unknown"),
    _value("empty stream", "streamed()", ""),
    _value("blob as a stream", 'new Blob(["b", "lob"]).stream()', "blob"),
    _value("byte order mark", '"\\ufefftext"', "\ufefftext"),
    _value("invalid UTF-8 is replaced", "bytes(97, 255, 98)", "a\ufffdb"),
    Case(
        "bytes come back as they are",
        'const all = Uint8Array.from({length: 256}, (_, i) => i); await kv.put("k", all);'
        'return await kv.get("k", "arrayBuffer")',
        {"bytes": list(range(256))},
    ),
    Case(
        "a value that is gzip itself is not unpacked",
        'const packed = new Response(new Blob(["text"]).stream().pipeThrough('
        'new CompressionStream("gzip"))); const data = await packed.arrayBuffer();'
        'await kv.put("k", data); const read = await kv.get("k", "arrayBuffer");'
        "return [await digest(data) === await digest(read), new Uint8Array(read)[0]]",
        [True, 31],
    ),
    *(
        Case(
            f"{name} is refused by the runtime",
            f'return await failure(kv.put("k", {javascript}))',
            _NOT_STREAMABLE,
        )
        for name, javascript in (
            ("object", "{}"), ("array", "[1]"), ("date", "new Date()"), ("function", "() => 1"),
        )
    ),
    Case(
        "json",
        'await kv.put("k", "[1, {\\"a\\": null}]"); return await kv.get("k", "json")',
        [1, {"a": None}],
    ),
    Case(
        "json that is none",
        'await kv.put("k", "{"); return (await failure(kv.get("k", "json"))).slice(0, 12)',
        "SyntaxError:",
    ),
    Case(
        "json of an empty value",
        'await kv.put("k", ""); return await failure(kv.get("k", "json"))',
        "SyntaxError: Unexpected end of JSON input",
    ),
    Case(
        "stream",
        'await kv.put("k", "streamed"); const body = await kv.get("k", {type: "stream"});'
        "return await new Response(body).text()",
        "streamed",
    ),
    Case(
        "a stream of one key into another",
        'await kv.put("k", filled(300000)); await kv.put("copy", await kv.get("k", "stream"));'
        'return (await kv.get("copy")).length',
        300000,
    ),
    *(
        Case(
            f"the type {kind} is unknown",
            f'await kv.put("k", "v"); return (await failure(kv.get("k", {kind}))).slice(0, 32)',
            "TypeError: Unknown response type",
        )
        for kind in ('"xml"', "5", '{type: "xml"}')
    ),
    *(
        Case(f"missing as {kind}", f'return await kv.get("missing", "{kind}")', None)
        for kind in ("text", "json", "arrayBuffer", "stream", "xml")
    ),
    Case(
        "missing with metadata",
        'return await kv.getWithMetadata("missing")',
        {"value": None, "metadata": None},
    ),
    Case(
        "25 MiB in one piece, back in one piece",
        f'await kv.put("k", filled({_BIG})); const read = await kv.get("k", "arrayBuffer");'
        f"return [read.byteLength, await digest(read) === await digest(filled({_BIG}))]",
        [_BIG, True],
    ),
    Case(
        "25 MiB as streams of unknown length",
        f'await kv.put("k", streamed(...Array(25).fill(filled({1024 * 1024}))));'
        'let length = 0; for await (const piece of await kv.get("k", "stream"))'
        " length += piece.length; return length",
        _BIG,
    ),
    Case(
        "one byte more is refused, and nothing is changed",
        f'await kv.put("k", "old"); return [await failure(kv.put("k", filled({_BIG + 1}))),'
        f' await failure(kv.put("k", streamed(...Array(25).fill(filled({1024 * 1024})), "b"))),'
        ' await kv.get("k")]',
        [
            put_refused(f"413 Value length of {_BIG + 1} exceeds limit of {_BIG}."),
            put_refused(f"413 Value length of {_BIG + 1} exceeds limit of {_BIG}."),
            "old",
        ],
    ),
    Case(
        "a stream that breaks off stores nothing",
        'await kv.put("k", "old"); const broken = streamed("half", new Error("broken"));'
        'return [await failure(kv.put("k", broken)), await kv.get("k")]',
        ["Error: broken", "old"],
        miniflare=["Error: broken", "half"],
    ),
    Case(
        "overwrite",
        'await kv.put("k", "first", {metadata: 1, expirationTtl: 60}); await kv.put("k", "second");'
        'return [await kv.getWithMetadata("k"), (await kv.list()).keys]',
        [{"value": "second", "metadata": None}, [{"name": "k"}]],
    ),
    Case(
        "delete",
        'await kv.put("k", "v"); await kv.delete("k"); await kv.delete("never");'
        'return [await kv.get("k"), await kv.getWithMetadata("k"), names(await kv.list())]',
        [None, {"value": None, "metadata": None}, []],
    ),
    Case(
        "put after delete",
        'await kv.put("k", "v"); await kv.delete("k"); await kv.put("k", "again");'
        'return [await kv.get("k"), names(await kv.list())]',
        ["again", ["k"]],
    ),
    Case(
        "the newest of many writes is read",
        'const read = []; for (let i = 0; i < 20; i++) { await kv.put("k", `${i}`);'
        ' read.push(await kv.get("k")) } return read.join()',
        ",".join(map(str, range(20))),
    ),
    Case(
        "many at once",
        "await Promise.all(Array.from({length: 60}, (_, i) => kv.put(`k${i}`, `v${i}`)));"
        "const read = await Promise.all(Array.from({length: 60}, (_, i) => kv.get(`k${i}`)));"
        "return read.every((value, i) => value === `v${i}`)",
        True,
    ),
)  # fmt: skip

CACHE_TTL = (
    Case(
        "cacheTtl of 30 and more",
        'await kv.put("k", "v"); return [await kv.get("k", {cacheTtl: 30}),'
        ' await kv.get("k", {cacheTtl: 86400})]',
        ["v", "v"],
    ),
    *(
        Case(
            f"cacheTtl of {ttl}",
            f'return await failure(kv.get("missing", {{cacheTtl: {ttl}}}))',
            get_refused(f"400 Invalid cache_ttl of {ttl}. Cache TTL must be at least 30."),
        )
        for ttl in (29, 1, 0, -1)
    ),
    Case(
        "cacheTtl that is no number",
        'return await failure(kv.get("missing", {cacheTtl: NaN}))',
        get_refused("400 Invalid cache_ttl of 0. Cache TTL must be at least 30."),
    ),
)
