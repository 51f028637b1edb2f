"""The protocol that workerd's `kvNamespace` binding speaks; `docs/workers.md` says what differs."""
