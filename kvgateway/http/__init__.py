"""The HTTP front door: the binding of Workers, the REST API, and the pages for probes."""
