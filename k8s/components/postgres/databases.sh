#!/bin/sh
# Run once by the image, on an empty folder: a role and a database for each service, with what stands in their secrets.
set -eu
for folder in "${SECRETS:-/run/secrets/postgres}"/databases/*/; do
  # Through the environment and psql's quoting: a password is never part of a command line.
  NAME="$(cat "${folder}username")" PASSWORD="$(cat "${folder}password")" \
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv name NAME
\getenv password PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
