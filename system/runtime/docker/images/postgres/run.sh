#!/bin/sh
# Gives the cluster of a new volume its password, and becomes the server.
set -eu
if [ -e "$PGDATA/unclaimed" ]; then
  password=$(sed "s/'/''/g" "$POSTGRES_PASSWORD_FILE")
  printf "ALTER ROLE postgres PASSWORD '%s'\n" "$password" |
    postgres --single -j -D "$PGDATA" postgres >/dev/null
  rm "$PGDATA/unclaimed"
fi
exec "$@"
