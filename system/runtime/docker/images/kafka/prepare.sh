#!/bin/sh
# Runs while the image is built: formats the storage that new volumes begin
# with, and keeps the classes that a broker loads in an archive, which halves
# the time of its start.
set -eu
cd /opt/kafka
chmod 0755 run.sh
mkdir -p formatted training /var/lib/kafka/data
cat >training.properties <<'P'
node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:9093
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
log.dirs=/opt/kafka/training
P
run() { java -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml "$@"; }
run -cp 'libs/*' kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 1-22)" -c training.properties
cp training/bootstrap.checkpoint training/meta.properties formatted/
# With the same collector as run.sh: an archive holds for one only.
# A function in the background would be a shell that the kill below ends, not
# the broker.
java -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml -XX:+UseSerialGC -XX:ArchiveClassesAtExit=/opt/kafka/kafka.jsa -cp '/opt/kafka/libs/*' kafka.Kafka training.properties >training.log 2>&1 &
broker=$!
tools() { run -cp 'libs/*' "$@" --bootstrap-server 127.0.0.1:9092; }
n=0
until tools org.apache.kafka.tools.TopicCommand --create --topic training --partitions 2 >/dev/null 2>&1; do
  n=$((n + 1))
  if [ $n -gt 20 ]; then cat training.log; exit 1; fi
done
echo 'one message' | tools org.apache.kafka.tools.ConsoleProducer --topic training
tools org.apache.kafka.tools.consumer.ConsoleConsumer --topic training --from-beginning --max-messages 1 --group training
kill $broker
wait $broker || true
test -s kafka.jsa
rm -rf training training.properties training.log
chown -R kafka /var/lib/kafka formatted
