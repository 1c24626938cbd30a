#!/bin/sh
# Run once by the image, on an empty folder: a role and a database for each service, with what stands in their secrets.
set -eu
for folder in "${SECRETS:-/run/secrets/postgres}"/databases/*/; do
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set name="$(cat "${folder}username")" --set password="$(cat "${folder}password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
