"""A key-value store that lives in two homes: the library that every program builds on."""
