"""All tables of cases, under the names that tests show."""

from collections.abc import Mapping, Sequence

from tests.workers import cases_of_many_keys, cases_of_options, cases_of_values
from tests.workers.case import Case

TABLES: Mapping[str, Sequence[Case]] = {
    "values": cases_of_values.VALUES,
    "cacheTtl": cases_of_values.CACHE_TTL,
    "metadata": cases_of_options.METADATA,
    "expirations": cases_of_options.EXPIRATIONS,
    "keys": cases_of_options.KEYS,
    "arguments": cases_of_options.ARGUMENTS,
    "lists": cases_of_many_keys.LISTS,
    "bulk": cases_of_many_keys.BULK_READS,
}
