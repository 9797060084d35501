#!/bin/sh
# Writes server.properties from the variables KAFKA_*, gives a new volume the
# storage that the image was built with, and becomes the broker.
set -eu
properties=/tmp/server.properties
env | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=/\1=/p' | while IFS== read -r name value; do
  case $name in HEAP_OPTS | JVM_PERFORMANCE_OPTS | OPTS | LOG4J_OPTS) continue ;; esac
  echo "$(echo "$name" | tr 'A-Z_' 'a-z.')=$value"
done >$properties

data=${KAFKA_LOG_DIRS:-/var/lib/kafka/data}
if ! [ -e "$data/meta.properties" ]; then
  # The storage was formatted when the image was built. Only its name is this
  # broker's own.
  cp /opt/kafka/formatted/bootstrap.checkpoint "$data/"
  printf 'version=1\nnode.id=%s\ncluster.id=%s\ndirectory.id=A%s\n' "$KAFKA_NODE_ID" \
    "$(sed -n 's/^cluster.id=//p' /opt/kafka/formatted/meta.properties)" \
    "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 1-21)" >"$data/meta.properties.next"
  mv "$data/meta.properties.next" "$data/meta.properties"
fi

# shellcheck disable=SC2086 # the options are several words
exec java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC} \
  -Xlog:disable -Xlog:all=error:stderr -XX:SharedArchiveFile=/opt/kafka/kafka.jsa \
  -Djava.awt.headless=true -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml \
  -cp '/opt/kafka/libs/*' kafka.Kafka $properties
