#!/bin/sh
# Writes who may use the S3 server, as SeaweedFS wants it, from the secret's files.
set -eu
cat > "$2" <<JSON
{"identities": [{"name": "labelmesh", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$(cat "$1/labelmesh_s3_access_key")", "secretKey": "$(cat "$1/labelmesh_s3_secret_key")"}]}]}
JSON
