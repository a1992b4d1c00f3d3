#!/bin/bash
# Records the captures of this folder: network namespaces, veth NICs, real kernel stacks and real programs,
# and between them a cable (wire.c) that delays, loses, reorders, tags and writes the capture.
# Everything stays inside the namespaces this script makes and removes; addresses are documentation ranges.
set -euo pipefail
PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seed=1
out=$here
seconds=
load=
install=no
keep=no

usage() {
	cat <<-'HELP'
	usage: record.sh [options] everyday|flood|all
	  everyday        a site's uplink on an ordinary day (about 5 minutes)
	  flood           a smaller everyday mix, under a SYN flood and a port scan (about 2 minutes)
	  --out DIR       where SCENARIO.pcap.zst goes (this folder)
	  --seed N        seed of users, delays and losses (1); timing still differs from run to run
	  --seconds N     length of the recording (everyday 240, flood 90)
	  --load X        how busy the users are (everyday 1.0, flood 0.3)
	  --install       install missing Debian packages with apt-get
	  --keep          keep the working directory with all logs and the uncompressed capture
	  --help
	needs root, and about 300 MB of memory
	examples:
	  sudo ./record.sh --install all
	  sudo ./record.sh --out /tmp --seconds 30 --seed 7 --keep everyday
	HELP
}

say() { echo "record: $*" >&2; }
fail() { say "$*"; exit 2; }

# ---- what must be there ----

SCTP_DIR=/usr/lib/usrsctp

# program=package
needs=(ip=iproute2 sysctl=procps gcc=gcc python3=python3 zstd=zstd nginx=nginx-light openssl=openssl dnsmasq=dnsmasq-base chronyd=chrony
	sshd=openssh-server ssh=openssh-client curl=curl wrk=wrk ab=apache2-utils dnsperf=dnsperf iperf3=iperf3 ping=iputils-ping
	traceroute=traceroute nmap=nmap hping3=hping3 nft=nftables "$SCTP_DIR/tsctp=libusrsctp-examples")

missing_packages() {
	local need
	for need in "${needs[@]}"; do
		command -v "${need%%=*}" >/dev/null || echo "${need#*=}"
	done
	# gcc without the C library's headers is no compiler
	[ -e /usr/include/stdio.h ] || echo libc6-dev
}

check() {
	[ "$(id -u)" = 0 ] || fail "must be run as root (it makes network namespaces)"
	local missing
	missing=$(missing_packages | sort -u | tr '\n' ' ')
	if [ -n "$missing" ] && [ $install = yes ]; then
		apt-get update -q >&2
		# shellcheck disable=SC2086
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
	elif [ -n "$missing" ]; then
		fail "missing Debian packages: $missing(apt-get install them, or run with --install)"
	fi
	[ -c /dev/net/tun ] || fail "no /dev/net/tun: the kernel lacks TUN/TAP"
	ip netns add "$id-try" 2>/dev/null || fail "network namespaces cannot be made here"
	ip netns del "$id-try"
}

# ---- namespaces: desk, phone, edge, core, srv, net (and foe for the flood) ----

id=ctb$$
work=
namespaces=(desk phone edge core srv net foe)

cleanup() {
	local n pids
	trap '' INT TERM # a second Ctrl-C must not leave half of it behind
	trap - EXIT
	for n in "${namespaces[@]}"; do
		# only processes inside namespaces made here
		pids=$(ip netns pids "$id-$n" 2>/dev/null || true)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || kill $pids 2>/dev/null || true
	done
	[ -z "${wire_pid:-}" ] || kill "$wire_pid" 2>/dev/null || true
	sleep 0.5
	for n in "${namespaces[@]}"; do
		pids=$(ip netns pids "$id-$n" 2>/dev/null || true)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
		ip netns del "$id-$n" 2>/dev/null || true
	done
	if [ -n "$work" ] && [ $keep = yes ]; then
		say "kept $work"
	elif [ -n "$work" ]; then
		rm -rf "$work"
	fi
}

in_ns() { local n=$1; shift; ip netns exec "$id-$n" "$@"; }
set_in() { local n=$1; shift; in_ns "$n" sysctl -qw "$@"; }

make_namespaces() {
	local n
	for n in "${namespaces[@]}"; do
		ip netns add "$id-$n"
		ip -n "$id-$n" link set lo up
		# Loose IPv6 binding is what lets a program use any address of a prefix that is routed to lo (AnyIP).
		set_in "$n" net.ipv4.ip_forward=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.ip_nonlocal_bind=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
			net.ipv4.tcp_no_metrics_save=1
		# A namespace may only choose what its kernel allows; where cubic is not, Reno is the next plain one.
		set_in "$n" net.ipv4.tcp_congestion_control=cubic 2>/dev/null ||
			set_in "$n" net.ipv4.tcp_congestion_control=reno
	done
	set_in edge net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	set_in core net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	# desk and phone differ as two families of systems do
	set_in desk net.ipv4.tcp_timestamps=0 net.ipv4.ip_default_ttl=128
	set_in phone net.ipv4.tcp_timestamps=1
}

# link ROUTER NAMESPACE NET4 NET6 BASE: a veth pair; the router has NET4.BASE+1 and NET6::1, the namespace the next ones
# and its default route
link() {
	local router=$1 n=$2 net4=$3 net6=$4 base=$5
	ip link add name "$n" netns "$id-$router" type veth peer name uplink netns "$id-$n"
	ip -n "$id-$router" addr add "$net4.$((base + 1))/30" dev "$n"
	ip -n "$id-$n" addr add "$net4.$((base + 2))/30" dev uplink
	ip -n "$id-$router" addr add "$net6::1/64" dev "$n"
	ip -n "$id-$n" addr add "$net6::2/64" dev uplink
	ip -n "$id-$router" link set "$n" up
	ip -n "$id-$n" link set uplink up
	ip -n "$id-$n" route add default via "$net4.$((base + 1))"
	ip -n "$id-$n" -6 route add default via "$net6::1"
	gateway4[$n]=$net4.$((base + 2))
	gateway6[$n]=$net6::2
}

gateway() { ip -n "$id-$1" -4 route show default | cut -d' ' -f3; }

# home NAMESPACE ROUTER PREFIX...: the prefixes live in the namespace (AnyIP), and its router sends them there
home() {
	local n=$1 router=$2 prefix
	shift 2
	for prefix in "$@"; do
		if [[ $prefix == *:* ]]; then
			ip -n "$id-$n" -6 route add local "$prefix" dev lo
			ip -n "$id-$router" -6 route add "$prefix" via "${gateway6[$n]}"
		else
			ip -n "$id-$n" route add local "$prefix" dev lo
			ip -n "$id-$router" route add "$prefix" via "${gateway4[$n]}"
		fi
	done
}

declare -A gateway4 gateway6

make_network() {
	make_namespaces
	# addresses of routers: 192.0.2.192/26 and 2001:db8:ffff::/48
	link edge desk 192.0.2 2001:db8:ffff:1 200
	link edge phone 192.0.2 2001:db8:ffff:2 204
	link core srv 192.0.2 2001:db8:ffff:3 208
	link core net 192.0.2 2001:db8:ffff:4 212
	link edge foe 192.0.2 2001:db8:ffff:5 216
	home desk edge 192.0.2.0/25 2001:db8:a::/64
	home phone edge 198.51.100.0/24 2001:db8:b::/64 2001:db8:b:1::/64
	home srv core 203.0.113.0/25 2001:db8:53::/64
	# Programs that cannot choose their source (wrk, tsctp) get one by destination: they are different hosts.
	local n
	for n in {0..15}; do
		ip -n "$id-desk" route add "203.0.113.$((n * 8))/29" via "$(gateway desk)" src "192.0.2.$((5 + n * 7))"
	done
	# Part of the phones sits behind a tunnel: the edge says "fragmentation needed" / "packet too big".
	ip -n "$id-edge" route add 198.51.100.240/28 via "${gateway4[phone]}" mtu lock 1400
	ip -n "$id-edge" -6 route replace 2001:db8:b:1::/64 via "${gateway6[phone]}" mtu 1380
	# Places that are not there, in three ways.
	ip -n "$id-core" route add unreachable 203.0.113.128/26
	ip -n "$id-core" route add blackhole 203.0.113.192/27
	ip -n "$id-core" route add prohibit 203.0.113.224/27
	ip -n "$id-core" -6 route add unreachable 2001:db8:dead:1::/64
	ip -n "$id-core" -6 route add blackhole 2001:db8:dead:2::/64
	ip -n "$id-core" -6 route add unreachable 2001:db8:dead::/64
	# The attacked site has its strangers on the left of the cable, the everyday site on the right.
	local side=$1
	if [ "$side" = net ]; then
		home net core 198.18.0.0/16 2001:db8:18::/63
		ip -n "$id-core" route add blackhole 198.19.0.0/17
		ip -n "$id-core" route add unreachable 198.19.128.0/17
		ip -n "$id-core" -6 route add blackhole 2001:db8:18:2::/64
	else
		# Owners of the borrowed addresses: a quarter answers what it never asked for with RST, the rest is dark.
		home foe edge 198.18.0.0/17 2001:db8:18::/63
		ip -n "$id-edge" route add blackhole 198.18.128.0/17
		ip -n "$id-edge" route add blackhole 198.19.0.0/17
		ip -n "$id-edge" route add unreachable 198.19.128.0/17
	fi
	in_ns srv nft -f - <<-'NFT'
		table inet filter {
			chain input { type filter hook input priority 0; tcp dport 8444 drop; udp dport 8444 drop; }
		}
	NFT
	in_ns desk nft -f - <<-'NFT'
		table inet filter {
			chain input { type filter hook input priority 0;
				tcp flags & (syn|ack) == syn drop
				tcp sport 8445 drop; }
		}
	NFT
	in_ns phone nft -f - <<-'NFT'
		table inet filter {
			chain input { type filter hook input priority 0; tcp sport 8445 drop; }
		}
	NFT
}

start_wire() {
	local name=$1 length=$2
	shift 2
	"$work/wire" --left "/run/netns/$id-edge" --right "/run/netns/$id-core" --write "$work/$name.pcap" \
		--seconds "$length" --frames 600000 --seed "$seed" "$@" 2>"$work/wire.log" &
	wire_pid=$!
	local tries
	for tries in {1..50}; do
		ip -n "$id-core" link show wan >/dev/null 2>&1 && break
		[ "$tries" != 50 ] || fail "the wire did not start: $(cat "$work/wire.log")"
		sleep 0.1
	done
	ip -n "$id-edge" link set wan address 02:00:00:00:00:01
	ip -n "$id-core" link set wan address 02:00:00:00:00:02
	ip -n "$id-edge" addr add 192.0.2.193/30 dev wan
	ip -n "$id-core" addr add 192.0.2.194/30 dev wan
	ip -n "$id-edge" addr add 2001:db8:ffff::1/64 dev wan
	ip -n "$id-core" addr add 2001:db8:ffff::2/64 dev wan
	ip -n "$id-edge" link set wan up txqueuelen 5000
	ip -n "$id-core" link set wan up txqueuelen 5000
	ip -n "$id-edge" route add default via 192.0.2.194
	ip -n "$id-edge" -6 route add default via 2001:db8:ffff::2
	ip -n "$id-core" route add default via 192.0.2.193
	ip -n "$id-core" -6 route add default via 2001:db8:ffff::1
}

# ---- servers ----

start_servers() {
	local life=$1 number size n
	mkdir -p "$work/www/o" "$work/nginx" /run/sshd
	while read -r number size; do
		truncate -s "$size" "$work/www/o/$number"
	done < <(python3 -B "$here/plan.py")
	ln -s o "$work/www/slow"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=www.test \
		-keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
	cat >"$work/nginx.conf" <<-NGINX
		user root; daemon off; worker_processes 1; pid $work/nginx/pid; error_log $work/nginx/error.log;
		events { worker_connections 8192; }
		http {
			access_log off; sendfile on; tcp_nopush on; root $work/www; client_body_temp_path $work/nginx/b; proxy_temp_path $work/nginx/p;
			fastcgi_temp_path $work/nginx/f; uwsgi_temp_path $work/nginx/u; scgi_temp_path $work/nginx/s;
			server { listen 80 backlog=511; listen [::]:80 backlog=511; keepalive_timeout 15;
				location /slow/ { limit_rate 3k; } }
			server { listen 443 ssl backlog=511; listen [::]:443 ssl backlog=511; keepalive_timeout 65;
				ssl_certificate $work/tls.crt; ssl_certificate_key $work/tls.key;
				location /slow/ { limit_rate 3k; } }
		}
	NGINX
	in_ns srv timeout "$life" nginx -e "$work/nginx/error.log" -p "$work/nginx" -c "$work/nginx.conf" 2>>"$work/nginx.log" &

	ip -n "$id-srv" addr add 203.0.113.5/32 dev lo
	ip -n "$id-srv" addr add 2001:db8:53::5/128 dev lo
	{
		echo "no-resolv"; echo "no-hosts"; echo "no-daemon"; echo "user=root"; echo "edns-packet-max=4096"; echo "local=/test/"
		echo "bind-interfaces"; echo "listen-address=203.0.113.5"; echo "listen-address=2001:db8:53::5"; echo "pid-file="
		for n in {10..69}; do
			for name in www static img; do
				printf 'host-record=%s%d.test,203.0.113.%d,2001:db8:53::%x\n' $name "$n" "$n" "$n"
			done
		done
		# an answer of about 2.9 kB: fragments for those who announce 4096 bytes, truncation for the others
		for n in {1..14}; do echo "txt-record=big.example,$(printf "%0200d" "$n")"; done
	} >"$work/dnsmasq.conf"
	in_ns srv timeout "$life" dnsmasq -C "$work/dnsmasq.conf" >"$work/dnsmasq.log" 2>&1 &
	for n in {10..69} {200..220}; do
		for name in www static img; do echo "$name$n.test A"; echo "$name$n.test AAAA"; done
	done >"$work/queries.txt"

	printf 'local stratum 8\nallow all\nport 123\ncmdport 0\npidfile %s\ndriftfile %s\n' "$work/chrony.pid" "$work/chrony.drift" >"$work/chrony.conf"
	# -x: never touches the clock of the machine
	in_ns srv timeout "$life" chronyd -x -d -u root -f "$work/chrony.conf" >"$work/chrony.log" 2>&1 &

	ssh-keygen -q -t ed25519 -N '' -C record -f "$work/host"
	ssh-keygen -q -t ed25519 -N '' -C record -f "$work/key"
	ssh-keygen -q -t ed25519 -N '' -C record -f "$work/stranger"
	cp "$work/key.pub" "$work/authorized"
	chmod 700 "$work"
	cat >"$work/sshd.conf" <<-SSHD
		HostKey $work/host
		AuthorizedKeysFile $work/authorized
		PidFile none
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		PermitRootLogin yes
		AllowTcpForwarding no
		MaxStartups 200
	SSHD
	in_ns srv timeout "$life" "$(command -v sshd)" -D -e -f "$work/sshd.conf" >"$work/sshd.log" 2>&1 &
	for n in {5201..5206}; do
		in_ns srv timeout "$life" iperf3 -s -p "$n" >"$work/iperf3.log" 2>&1 &
	done
	in_ns srv timeout "$life" "$SCTP_DIR/tsctp" -p 5001 >"$work/sctp.log" 2>&1 &
	in_ns srv timeout "$life" python3 -B "$here/services.py" "$life" 25,110,143,993,1883,5222,8080,8445,8883 3478 2>"$work/services-srv.log" &
	in_ns net timeout "$life" python3 -B "$here/services.py" "$life" 6881 6881 2>"$work/services-net.log" &
	# some clients are peers too
	in_ns phone timeout "$life" python3 -B "$here/services.py" "$life" 6881 6881 2>"$work/services-phone.log" &
	sleep 2
}

# crowd NAMESPACE ROLE SECONDS LOAD
crowd() { in_ns "$1" timeout "$(($3 + 15))" python3 -B "$here/crowd.py" "$2" "$3" "$seed" "$4" 2>"$work/crowd-$2.log" & }
errands() { in_ns desk timeout "$(($1 + 15))" python3 -B "$here/errands.py" "$1" "$seed" "$2" "$work" 2>"$work/errands.log" & errands_pid=$!; }

# ---- the two recordings ----

# Traffic begins this long before the recording: a capture starts in the midst of connections.
lead=15

vlans=(--vlan 192.0.2.96/27=110 --vlan 198.51.100.192/26=120 --vlan 2001:db8:b:1::/64=120)

everyday() {
	local length=${seconds:-240} busy=${load:-1.0}
	make_network net
	# These clients lose their link for good: what they had open stays half open.
	start_wire everyday "$((length + lead))" --skip "$lead" --loss 0.004 --reorder 0.002 --duplicate 0.0003 "${vlans[@]}" \
		--vanish "198.51.100.16/29@$((lead + length * 2 / 5))" --vanish "2001:db8:b::2100/120@$((lead + length / 3))" \
		--vanish "192.0.2.60/30@$((lead + length * 3 / 5))"
	start_servers "$((length + lead + 30))"
	crowd desk desk "$((length + lead))" "$busy"
	crowd phone phone "$((length + lead))" "$busy"
	crowd net noise "$((length + lead))" "$busy"
	errands "$((length + lead))" "$busy"
	wait "$wire_pid"
	wait "$errands_pid" || true # what an errand died of is no reason to lose the recording
	finish everyday
}

flood() {
	local length=${seconds:-90} busy=${load:-0.3}
	make_network foe
	start_wire flood "$((length + lead))" --skip "$lead" --loss 0.004 --reorder 0.002 --duplicate 0.0003 "${vlans[@]}"
	start_servers "$((length + lead + 30))"
	crowd desk desk "$((length + lead))" "$busy"
	crowd phone phone "$((length + lead))" "$busy"
	errands "$((length + lead))" "$busy"
	# hping3 makes up any source; the attacker's own stack folds them all into 198.18.0.0/15 before they leave.
	in_ns foe nft -f - <<-'NFT'
		table ip borrow {
			chain output { type filter hook output priority 0;
				ip daddr 203.0.113.0/24 ip saddr != { 192.0.2.216/30, 198.18.7.7 } ip saddr set ip saddr & 0.1.255.255 | 198.18.0.0
			}
		}
	NFT
	attack "$length" &
	wait "$wire_pid"
	wait "$errands_pid" || true # what an errand died of is no reason to lose the recording
	finish flood
}

attack() {
	local length=$1 part=$(($1 / 10))
	sleep "$((lead + 2 * part))"
	say "scan begins"
	# the scan: from one address, in the open, before and during the flood
	in_ns foe timeout "$((7 * part))" nmap -n -Pn -sS -S 198.18.7.7 -e uplink -T4 --max-retries 1 --max-rate 150 --top-ports 200 \
		203.0.113.1-12 >"$work/nmap-syn.log" 2>&1 &
	in_ns foe timeout "$((6 * part))" nmap -n -Pn -sU -S 198.18.7.7 -e uplink -T4 --max-retries 1 --max-rate 60 --top-ports 60 \
		203.0.113.5-9 >"$work/nmap-udp.log" 2>&1 &
	in_ns foe timeout "$((6 * part))" nmap -n -Pn -sT -T4 --max-retries 1 --max-rate 40 --top-ports 60 \
		203.0.113.10-14 >"$work/nmap-connect.log" 2>&1 &
	in_ns foe timeout "$((6 * part))" nmap -6 -n -Pn -sT -T4 --max-retries 1 --max-rate 40 --top-ports 60 \
		2001:db8:53::a 2001:db8:53::b 2001:db8:53::c >"$work/nmap-connect6.log" 2>&1 &
	sleep "$((1 * part))"
	say "flood begins"
	# three pulses that overlap, the first with the same sequence number in each SYN, as simple tools do; -c bounds each by count, timeout by time
	in_ns foe timeout "$((2 * part))" hping3 -q -n -S --rand-source -p 443 -M 2948723 -L 0 -c "$((length * 240))" -i u600 203.0.113.10 >"$work/hping-443.log" 2>&1 &
	sleep "$part"
	in_ns foe timeout "$((2 * part))" hping3 -q -n -S --rand-source -p 80 -L 0 -c "$((length * 115))" -i u1100 203.0.113.11 >"$work/hping-80.log" 2>&1 &
	in_ns foe timeout "$((3 * part))" hping3 -q -n -S --rand-source -p 22 -L 0 -c "$((length * 45))" -i u5000 203.0.113.7 >"$work/hping-22.log" 2>&1 &
	wait
	say "attack over"
}

# shellcheck disable=SC2016 # the back quotes are Markdown
# The measured part of SCENARIO.md, below its marker line, is written anew by each recording.
describe() {
	local name=$1 text=$out/$1.md marker='<!-- measured: record.sh writes everything below this line -->'
	{
		sed "/^<!-- measured/,\$d" "$here/$name.md" 2>/dev/null || true
		printf '%s\n\n## How this file was made\n\n' "$marker"
		printf -- '- command: `record.sh --seed %s --seconds %s --load %s %s`\n' "$seed" "$length" "$busy" "$name"
		printf -- '- date: %s; kernel: Linux %s %s\n' "$(date -u +%F)" "$(uname -r | cut -d- -f1)" "$(uname -m)"
		printf -- '- the wire said: `%s`\n' "$(sed 's/^wire: //' "$work/wire.log")"
		printf -- '- the errands said: `%s`\n' "$(sed "s/^errands: //; s,$SCTP_DIR/,," "$work/errands.log")"
		printf -- '- the servers counted: `%s`\n' "$server_counters"
		printf -- '- programs (Debian packages): %s\n\n## What is in it (describe.py)\n\n' "$(versions)"
		python3 -B "$here/describe.py" "$out/$name.pcap.zst" | sed '/^###/,+1d'
	} >"$work/$name.md"
	cp "$work/$name.md" "$text"
}

versions() {
	local need
	for need in "${needs[@]}"; do
		dpkg-query -W -f '${Package} ${Version}, ' "${need#*=}" 2>/dev/null || true
	done | sed 's/, $//'
}

finish() {
	local name=$1 server_counters
	say "$(cat "$work/wire.log")"
	server_counters=$(in_ns srv nstat -asz 2>/dev/null |
		awk '/TcpExtSyncookiesSent|TcpExtListenDrops|TcpRetransSegs/ { printf "%s%s %s", c, $1, $2; c = ", " }')
	zstd -q -19 -f "$work/$name.pcap" -o "$out/$name.pcap.zst"
	say "wrote $out/$name.pcap.zst: $(stat -c %s "$out/$name.pcap.zst") bytes from $(stat -c %s "$work/$name.pcap")"
	describe "$name"
	cleanup
	work=
	trap cleanup EXIT
	trap 'exit 130' INT TERM
}

record() {
	work=$(mktemp -d)
	say "recording $1 (seed $seed)"
	gcc -O2 -Wall -Wextra -std=gnu11 -o "$work/wire" "$here/wire.c" -lm
	"$1"
}

scenario=
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--out) out=$2; shift ;;
	--seed) seed=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--load) load=$2; shift ;;
	--install) install=yes ;;
	--keep) keep=yes ;;
	everyday | flood | all) scenario=$1 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[[ $seed =~ ^[0-9]+$ && $seconds =~ ^([1-9][0-9]*)?$ && $load =~ ^([0-9]+(\.[0-9]+)?)?$ ]] || { usage >&2; exit 2; }
[ -n "$scenario" ] || { usage >&2; exit 2; }
trap cleanup EXIT
trap 'exit 130' INT TERM
check
if [ "$scenario" = all ]; then
	record everyday
	record flood
	(cd "$out" && python3 -B "$here/describe.py" --tsv everyday.pcap.zst flood.pcap.zst >catalogue.tsv)
else
	record "$scenario"
fi
