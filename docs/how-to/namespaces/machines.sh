#!/bin/sh
# Three machines on one: the network namespaces m1, m2 and m3, with the addresses 10.99.0.1 to 10.99.0.3.
set -e

in_machine() {
    number=$1
    shift
    ip netns exec "m$number" "$@"
}

case $1 in
up)
    ip link add demo-net type bridge
    ip addr add 10.99.0.254/24 dev demo-net # of this machine, so that it can be a client
    ip link set demo-net up
    for number in 1 2 3; do
        ip netns add "m$number"
        ip link add "demo-m$number" type veth peer name eth0 netns "m$number"
        ip link set "demo-m$number" master demo-net up
        ip -n "m$number" addr add "10.99.0.$number/24" dev eth0
        ip -n "m$number" link set eth0 up
        ip -n "m$number" link set lo up
    done
    ;;
start) # a server and a node on each, such as: start raft
    servers=nats://10.99.0.1:4222,nats://10.99.0.2:4222,nats://10.99.0.3:4222
    for number in 1 2 3; do
        cat >"m$number.conf" <<END
server_name: s$number
listen: 10.99.0.$number:4222
cluster {
  name: demo
  listen: 10.99.0.$number:6222
  routes: [nats-route://10.99.0.1:6222, nats-route://10.99.0.2:6222, nats-route://10.99.0.3:6222]
}
END
        in_machine "$number" nats-server -c "m$number.conf" 2>"server$number.log" &
        in_machine "$number" trio-messenger node "$2" --nats "$servers" --cluster demo \
            --id "n$number" --peers n1,n2,n3 2>"node$number.log" &
    done
    ;;
cut) # pull the plug of a machine, such as: cut 3
    ip link set "demo-m$2" down
    ;;
join)
    ip link set "demo-m$2" up
    ;;
down)
    for number in 1 2 3; do
        ip netns pids "m$number" | xargs -r kill
        ip netns del "m$number"
    done
    ip link del demo-net
    ;;
esac
