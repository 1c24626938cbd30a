#!/bin/sh
# Makes the secrets that the mesh needs, out of chance, where they are not there yet:
#
#   k8s/secrets.sh            into the cluster that kubectl points at; what is there already stays as it is
#   k8s/secrets.sh --print    as manifests on standard output, asking no cluster
#
# NAMESPACE (labelmesh), POSTGRES (postgres:5432) and POSTGRES_QUERY (nothing; for CloudNativePG
# "?sslmode=verify-full&sslrootcert=/run/secrets/postgres/ca.crt") say what differs between places.
# Values go through files of a private folder: arguments are seen by everybody on a machine.
set -eu
umask 077
namespace="${NAMESPACE:-labelmesh}"
postgres="${POSTGRES:-postgres:5432}"
query="${POSTGRES_QUERY:-}"
printing="${1:-}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/values"

put() { # a key's value from standard input, without the line's end
  tr -d '\n' > "$folder/values/$1"
}

secret() { # a name, a type; its values are the files that lie there
  if [ "$printing" != "--print" ] && kubectl get secret "$1" --namespace "$namespace" > /dev/null 2>&1; then
    echo "$1: there already"
  else
    kubectl create secret generic "$1" --type "$2" --namespace "$namespace" --from-file "$folder/values" --dry-run=client --output yaml > "$folder/made"
    kubectl label --local --filename "$folder/made" --output yaml app.kubernetes.io/part-of=labelmesh cnpg.io/reload=true > "$folder/labeled"
    if [ "$printing" = "--print" ]; then
      echo "---"
      cat "$folder/labeled"
    else
      kubectl create --filename "$folder/labeled"
    fi
  fi
  rm -f "$folder/values"/*
}

for service in auth labeling inference augment; do
  password="$(openssl rand -hex 24)"
  echo "$service" | put username
  echo "$password" | put password
  echo "postgresql+psycopg2://$service:$password@$postgres/$service$query" | put labelmesh_database_url
  secret "$service-database" kubernetes.io/basic-auth
done

openssl rand -base64 32 | put labelmesh_key_encryption_key
secret auth-key-encryption Opaque

openssl rand -hex 10 | put labelmesh_s3_access_key
openssl rand -hex 24 | put labelmesh_s3_secret_key
secret objects Opaque

# Of the PostgreSQL that the overlay dev brings.
openssl rand -hex 24 | put password
secret postgres-superuser Opaque
