"""Cloudflare's REST v4 API for KV, so that wrangler and the official SDKs run against Tandem."""

from kvgateway.http.rest.app import PREFIX, RestApp

__all__ = ["PREFIX", "RestApp"]
