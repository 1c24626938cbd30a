#!/bin/bash
# Runs once, when PostgreSQL makes its data: a role and a database for each service, the passwords as the secrets have them.
set -eu
for service in auth labeling inference augment; do
  # Through the environment and psql's quoting: a password is never part of a command line.
  SERVICE="$service" SERVICE_PASSWORD="$(cat "/run/secrets/postgres/${service}_password")" \
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv service SERVICE
\getenv password SERVICE_PASSWORD
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
