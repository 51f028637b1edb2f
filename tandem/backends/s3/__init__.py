"""The S3 home. Its data path signs and carries requests itself (`sigv4`, `transport`), because

- it needs what ready clients hide: every status code, the `Date` of each reply, `If-Match` without
  quotes, conditional DELETE, no retries, and whether a failed request had been sent;
- a small PUT costs 44 us of CPU so; 72 with obstore, which hides most of the above, 131 with
  botocore's signer, 224 with aiohttp too, 1,225 with boto3 (`bench/results/s3_clients.txt`).
"""
