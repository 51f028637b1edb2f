"""Workers, wrangler and Cloudflare's SDKs, the real ones, against a whole Tandem."""
