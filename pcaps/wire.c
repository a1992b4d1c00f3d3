/*
 * wire: a cable between two TAP devices, with a capture tap in its middle.
 *
 *      left namespace                                            right namespace
 *   [ router ]==tap "wan"==  near segment  --o--  far segment  ==tap "wan"==[ router ]
 *                                            |
 *                                            +--> pcap (what passes here, when it passes)
 *
 * Each frame crosses two segments. A segment delays (a base per station, plus jitter), may lose, hold back
 * (reorder) or duplicate the frame. A station is an IP address: the left one decides the near segment
 * (its access line: delay, loss, rate, queue), the right one decides the far segment (how far away it is).
 * The capture point lies between the two, so a loss on the segment before it shows as a gap and a
 * retransmission without an original, and a loss behind it as an original and its repetition: as at a real router.
 *
 * Frames are recorded trimmed to their headers: link, VLAN, IP with extension headers, transport header with options,
 * and for ICMP errors the quoted headers. The record keeps the original length. No payload reaches the file.
 *
 * Only frames between the two TAPs pass; the program opens no socket. It ends after --seconds, or at --frames
 * recorded, or on SIGTERM/SIGINT, whichever comes first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

#define FRAME_MAX 2048           /* TAP MTU 1500 + Ethernet header, with room */
#define QUEUE_MAX (1u << 17)     /* frames in flight; beyond that the cable drops */
#define STATIONS (1u << 16)      /* direct mapped by address hash: two addresses in one slot share a line */
#define PREFIXES_MAX 16
#define BURST 64                 /* frames read from one TAP before the other one gets its turn */
#define SNAP_LEN 128
#define CLOCK_NS 100             /* of a time stamp; finer digits are noise here, and noise does not compress */
#define LINE_QUEUE_NS (150 * NS_PER_MS) /* an access line drops what would wait longer than this */

#define ETH_LEN 14
#define VLAN_LEN 4
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define PCAP_MAGIC_NS 0xa1b23c4du
#define LINKTYPE_ETHERNET 1

enum side { LEFT, RIGHT };
enum stage { BEFORE_TAP, AFTER_TAP };

struct address { uint8_t b[16]; };        /* IPv4 as ::ffff:a.b.c.d */
struct prefix { struct address addr; int bits; unsigned value; }; /* value: VLAN id, or a second */

struct frame {
	enum side from;
	enum stage stage;
	int is_ip;
	struct address left, right;       /* the addresses by side, not by direction */
	size_t len;
	uint8_t data[FRAME_MAX];
};

struct event { uint64_t due_ns, order; struct frame *frame; };

/* One segment's memory of a station, per direction: keeps jitter from reordering, and the line's rate. */
struct line { uint64_t last_ns[2], free_ns[2]; };

static struct {
	const char *left_ns, *right_ns, *file;
	uint64_t seconds, skip, frames, seed;
	double loss, reorder, duplicate;  /* probabilities per segment crossing */
	struct prefix vlan[PREFIXES_MAX], vanish[PREFIXES_MAX];
	int vlans, vanishes;
} opt = { .seconds = 60, .frames = 1000000, .seed = 1 };

static struct { uint64_t in[2], out[2], lost, overflow, vanished, held, copied, recorded, tagged; } count;

static struct event queue[QUEUE_MAX];
static size_t queued;
static uint64_t next_order;
static struct line near_lines[STATIONS], far_lines[STATIONS];
static uint64_t start_ns, wall_offset_ns, random_state;
static FILE *capture;
static volatile sig_atomic_t stop;

static void on_signal(int signal_number) { (void)signal_number; stop = 1; }

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- randomness: splitmix64, so that one seed gives one sequence ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static double unit(uint64_t bits) { return (double)(bits >> 11) / 9007199254740992.0; } /* 2^53 */

static double uniform(void) { return unit(mix(random_state += 0x9e3779b97f4a7c15ull)); }

static double exponential(double mean) { return -mean * log(1.0 - uniform()); }

/* ---- addresses and stations ---- */

static uint64_t address_hash(const struct address *a, uint64_t salt)
{
	uint64_t hi, lo;
	memcpy(&hi, a->b, 8);
	memcpy(&lo, a->b + 8, 8);
	return mix(mix(hi ^ opt.seed * 0x9e3779b97f4a7c15ull) ^ lo ^ salt);
}

static int in_prefix(const struct address *a, const struct prefix *p)
{
	int whole = p->bits / 8, rest = p->bits % 8;
	if (memcmp(a->b, p->addr.b, (size_t)whole))
		return 0;
	return !rest || !((a->b[whole] ^ p->addr.b[whole]) >> (8 - rest));
}

static void from_ip4(struct address *a, const uint8_t *ip)
{
	memset(a->b, 0, 10);
	memset(a->b + 10, 0xff, 2);
	memcpy(a->b + 12, ip, 4);
}

/* What the line of a station is like. Shares and ranges are a guess at a mixed access network, not a measurement. */
struct quality { uint64_t delay_ns, jitter_ns; double loss_factor, bytes_per_ns; };

static struct quality near_quality(const struct address *left)
{
	uint64_t h = address_hash(left, 1);
	double kind = unit(h), u = unit(mix(h + 1));
	struct quality q;
	q.loss_factor = (double[]){ 0.3, 0.3, 1.0, 2.5 }[h & 3];
	if (kind < 0.50) {        /* wired: 0.1 to 1.5 ms, 100 to 900 Mbit/s */
		q.delay_ns = (uint64_t)((0.1 + 1.4 * u) * NS_PER_MS);
		q.jitter_ns = 30 * NS_PER_US;
		q.bytes_per_ns = (100 + 800 * u) / 8000.0;
	} else if (kind < 0.85) { /* wireless or cable: 2 to 12 ms, 20 to 200 Mbit/s */
		q.delay_ns = (uint64_t)((2 + 10 * u) * NS_PER_MS);
		q.jitter_ns = 800 * NS_PER_US;
		q.bytes_per_ns = (20 + 180 * u) / 8000.0;
	} else {                  /* mobile: 15 to 50 ms, 4 to 40 Mbit/s */
		q.delay_ns = (uint64_t)((15 + 35 * u) * NS_PER_MS);
		q.jitter_ns = 4 * NS_PER_MS;
		q.bytes_per_ns = (4 + 36 * u) / 8000.0;
	}
	return q;
}

static struct quality far_quality(const struct address *right)
{
	uint64_t h = address_hash(right, 2);
	double kind = unit(h), u = unit(mix(h + 1));
	struct quality q = { .loss_factor = 1.0, .bytes_per_ns = 1.25 }; /* 10 Gbit/s */
	double ms = kind < 0.25 ? 0.3 + 1.7 * u   /* same city */
		  : kind < 0.70 ? 4 + 14 * u      /* same region */
		  : kind < 0.93 ? 18 + 30 * u     /* same continent */
				: 55 + 40 * u;    /* another one */
	q.delay_ns = (uint64_t)(ms * NS_PER_MS);
	q.jitter_ns = (uint64_t)(0.02 * ms * NS_PER_MS) + 20 * NS_PER_US;
	return q;
}

/* ---- the queue: a binary heap by due time, ties in order of entry ---- */

static int earlier(const struct event *a, const struct event *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void push(uint64_t due_ns, struct frame *f)
{
	if (queued == QUEUE_MAX) {
		count.overflow++;
		free(f);
		return;
	}
	struct event e = { due_ns, next_order++, f };
	size_t i = queued++;
	for (; i && earlier(&e, &queue[(i - 1) / 2]); i = (i - 1) / 2)
		queue[i] = queue[(i - 1) / 2];
	queue[i] = e;
}

static struct frame *pop(void)
{
	struct frame *f = queue[0].frame;
	struct event last = queue[--queued];
	size_t i = 0, child;
	while ((child = 2 * i + 1) < queued) {
		if (child + 1 < queued && earlier(&queue[child + 1], &queue[child]))
			child++;
		if (!earlier(&queue[child], &last))
			break;
		queue[i] = queue[child];
		i = child;
	}
	queue[i] = last;
	return f;
}

/* ---- the cable ---- */

static void enter_segment(struct frame *f, uint64_t now)
{
	/* From the left the near segment comes before the capture point, from the right it comes after it. */
	int near = (f->from == LEFT) == (f->stage == BEFORE_TAP);
	if (!f->is_ip) { /* ARP and the like belong to the routers: the cable itself, 20 us, no loss */
		push(now + 20 * NS_PER_US, f);
		return;
	}
	const struct address *station = near ? &f->left : &f->right;
	struct quality q = near ? near_quality(station) : far_quality(station);
	struct line *line = &(near ? near_lines : far_lines)[address_hash(station, 3) % STATIONS];

	if (uniform() < opt.loss * q.loss_factor) {
		count.lost++;
		free(f);
		return;
	}
	uint64_t begin = line->free_ns[f->from] > now ? line->free_ns[f->from] : now;
	if (begin - now > LINE_QUEUE_NS) {
		count.overflow++;
		free(f);
		return;
	}
	line->free_ns[f->from] = begin + (uint64_t)((double)f->len / q.bytes_per_ns);
	uint64_t due = line->free_ns[f->from] + q.delay_ns + (uint64_t)exponential((double)q.jitter_ns);
	if (due <= line->last_ns[f->from])
		due = line->last_ns[f->from] + 1;
	line->last_ns[f->from] = due;
	if (uniform() < opt.reorder) { /* held back: later frames of the station overtake it */
		count.held++;
		due += NS_PER_MS + (uint64_t)exponential(4.0 * NS_PER_MS);
	}
	if (uniform() < opt.duplicate) {
		struct frame *copy = malloc(sizeof *copy);
		if (copy) {
			count.copied++;
			*copy = *f;
			push(due + 50 * NS_PER_US + (uint64_t)exponential(300.0 * NS_PER_US), copy);
		}
	}
	push(due, f);
}

static int vanished(const struct frame *f, uint64_t now)
{
	for (int i = 0; f->from == LEFT && i < opt.vanishes; i++)
		if (now - start_ns >= opt.vanish[i].value * NS_PER_S && in_prefix(&f->left, &opt.vanish[i]))
			return 1;
	return 0;
}

static void read_frame_addresses(struct frame *f)
{
	const uint8_t *d = f->data;
	unsigned type = (unsigned)d[12] << 8 | d[13];
	struct address *source = f->from == LEFT ? &f->left : &f->right;
	struct address *target = f->from == LEFT ? &f->right : &f->left;
	f->is_ip = 0;
	if (type == ETHERTYPE_IP4 && f->len >= ETH_LEN + 20) {
		from_ip4(source, d + ETH_LEN + 12);
		from_ip4(target, d + ETH_LEN + 16);
		f->is_ip = 1;
	} else if (type == ETHERTYPE_IP6 && f->len >= ETH_LEN + 40) {
		memcpy(source->b, d + ETH_LEN + 8, 16);
		memcpy(target->b, d + ETH_LEN + 24, 16);
		f->is_ip = 1;
	}
}

static void accept_frames(int fd, enum side from)
{
	for (int i = 0; i < BURST; i++) {
		struct frame *f = malloc(sizeof *f);
		if (!f)
			die("malloc");
		ssize_t n = read(fd, f->data, sizeof f->data);
		if (n < ETH_LEN) {
			free(f);
			return;
		}
		uint64_t now = now_ns();
		f->from = from;
		f->stage = BEFORE_TAP;
		f->len = (size_t)n;
		count.in[from]++;
		read_frame_addresses(f);
		if (f->is_ip && vanished(f, now)) {
			count.vanished++;
			free(f);
			continue;
		}
		enter_segment(f, now);
	}
}

/* ---- recording ---- */

static size_t transport_header(unsigned protocol, const uint8_t *p, size_t have);

/* Bytes of headers from an IP header on; 0 where `have` is too short to tell (the caller keeps all it has). */
static size_t ip_headers(unsigned type, const uint8_t *p, size_t have)
{
	if (type == ETHERTYPE_IP4 && have >= 20) {
		size_t ip = (size_t)(p[0] & 15) * 4;
		int later_fragment = (p[6] & 0x1f) || p[7];
		return later_fragment || ip >= have ? ip : ip + transport_header(p[9], p + ip, have - ip);
	}
	if (type == ETHERTYPE_IP6 && have >= 40) {
		size_t at = 40;
		unsigned next = p[6];
		while (at + 8 <= have) {
			if (next == 44) { /* fragment header */
				int later_fragment = p[at + 2] || (p[at + 3] & 0xf8);
				next = p[at];
				at += 8;
				if (later_fragment)
					return at;
			} else if (next == 0 || next == 43 || next == 60) { /* hop-by-hop, routing, destination */
				next = p[at];
				at += ((size_t)p[at + 1] + 1) * 8;
			} else {
				break;
			}
		}
		return at >= have ? at : at + transport_header(next, p + at, have - at);
	}
	return have;
}

static size_t transport_header(unsigned protocol, const uint8_t *p, size_t have)
{
	switch (protocol) {
	case 6: /* TCP, with options */
		return have >= 13 ? (size_t)(p[12] >> 4) * 4 : have;
	case 17: /* UDP */
		return 8;
	case 1: /* ICMP: errors quote the packet they are about */
		if (p[0] == 3 || p[0] == 4 || p[0] == 5 || p[0] == 11 || p[0] == 12)
			return have > 8 ? 8 + ip_headers(ETHERTYPE_IP4, p + 8, have - 8) : have;
		return 8;
	case 58: /* ICMPv6: the same below 128; neighbour discovery and the like whole, echo 8 bytes */
		if (p[0] < 128)
			return have > 8 ? 8 + ip_headers(ETHERTYPE_IP6, p + 8, have - 8) : have;
		return p[0] <= 129 ? 8 : have;
	default: /* SCTP common header and first chunk header; for others as many bytes */
		return 32;
	}
}

static unsigned vlan_of(const struct frame *f)
{
	for (int i = 0; f->is_ip && i < opt.vlans; i++)
		if (in_prefix(&f->left, &opt.vlan[i]))
			return opt.vlan[i].value;
	return 0;
}

static void put32(uint32_t value) { fwrite(&value, sizeof value, 1, capture); }

static void record(const struct frame *f, uint64_t now)
{
	if (now - start_ns < opt.skip * NS_PER_S)
		return;
	unsigned type = (unsigned)f->data[12] << 8 | f->data[13], vlan = vlan_of(f);
	size_t headers = ETH_LEN, extra = vlan ? VLAN_LEN : 0;
	if (f->is_ip)
		headers += ip_headers(type, f->data + ETH_LEN, f->len - ETH_LEN);
	else if (type == ETHERTYPE_ARP)
		headers = 42;
	if (headers > f->len)
		headers = f->len;
	if (headers + extra > SNAP_LEN)
		headers = SNAP_LEN - extra;

	uint64_t wall = now + wall_offset_ns;
	wall -= wall % CLOCK_NS;
	put32((uint32_t)(wall / NS_PER_S));
	put32((uint32_t)(wall % NS_PER_S));
	put32((uint32_t)(headers + extra));
	put32((uint32_t)(f->len + extra));
	if (vlan) {
		uint8_t tag[VLAN_LEN] = { ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 255, (uint8_t)(vlan >> 8), (uint8_t)vlan };
		fwrite(f->data, 1, 12, capture);
		fwrite(tag, 1, VLAN_LEN, capture);
		fwrite(f->data + 12, 1, headers - 12, capture);
		count.tagged++;
	} else {
		fwrite(f->data, 1, headers, capture);
	}
	count.recorded++;
}

static void open_capture(void)
{
	struct timespec wall;
	capture = fopen(opt.file, "wb");
	if (!capture)
		die(opt.file);
	start_ns = now_ns();
	clock_gettime(CLOCK_REALTIME, &wall);
	/* The offset is read once: a clock step during the recording cannot turn time back in the file. */
	wall_offset_ns = (uint64_t)wall.tv_sec * NS_PER_S + (uint64_t)wall.tv_nsec - start_ns;
	put32(PCAP_MAGIC_NS);
	put32(2 | 4 << 16); /* version 2.4, little endian */
	put32(0);
	put32(0);
	put32(SNAP_LEN);
	put32(LINKTYPE_ETHERNET);
}

/* ---- set-up ---- */

static int open_tap(const char *netns)
{
	int ns = open(netns, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die(netns);
	close(ns);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	strcpy(request.ifr_name, "wan");
	/* No IFF_VNET_HDR: the kernel must segment and checksum before the frame gets here. */
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		die("TAP device");
	return fd;
}

static int parse_prefix(const char *text, char separator, struct prefix *list, int *n)
{
	char host[64], *slash, *tail;
	const char *sep = strrchr(text, separator);
	struct prefix *p = &list[*n];
	if (*n == PREFIXES_MAX || !sep || (size_t)(sep - text) >= sizeof host)
		return 0;
	memcpy(host, text, (size_t)(sep - text));
	host[sep - text] = 0;
	p->value = (unsigned)strtoul(sep + 1, &tail, 10);
	if (*tail || !(slash = strchr(host, '/')))
		return 0;
	*slash = 0;
	p->bits = atoi(slash + 1);
	uint8_t ip4[4];
	if (inet_pton(AF_INET, host, ip4) == 1) {
		from_ip4(&p->addr, ip4);
		p->bits += 96;
	} else if (inet_pton(AF_INET6, host, p->addr.b) != 1) {
		return 0;
	}
	++*n;
	return p->bits >= 0 && p->bits <= 128;
}

static void usage(FILE *out)
{
	fputs("usage: wire --left NETNS --right NETNS --write FILE [options]\n"
	      "  NETNS            a file such as /run/netns/NAME; a TAP device `wan` is made in each\n"
	      "  --seconds N      stop after N seconds (60)\n"
	      "  --skip N         record nothing in the first N of them: the capture begins amid connections (0)\n"
	      "  --frames N       stop after N recorded frames (1000000)\n"
	      "  --seed N         seed of delays and losses (1)\n"
	      "  --loss P --reorder P --duplicate P   probabilities per segment (0); a frame crosses two\n"
	      "  --vlan PREFIX=ID       record frames of these left addresses with an 802.1Q tag\n"
	      "  --vanish PREFIX@SECOND from then on nothing from these left addresses gets through\n"
	      "example: wire --left /run/netns/a --right /run/netns/b --write x.pcap --loss 0.004 --vlan 192.0.2.0/28=110\n",
	      out);
}

static void parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "left", 1, 0, 'l' }, { "right", 1, 0, 'r' }, { "write", 1, 0, 'w' }, { "seconds", 1, 0, 't' },
		{ "skip", 1, 0, 'k' }, { "frames", 1, 0, 'n' }, { "seed", 1, 0, 's' }, { "loss", 1, 0, 'L' }, { "reorder", 1, 0, 'R' },
		{ "duplicate", 1, 0, 'D' }, { "vlan", 1, 0, 'v' }, { "vanish", 1, 0, 'V' }, { "help", 0, 0, 'h' }, { 0 },
	};
	int c, ok = 1;
	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1)
		switch (c) {
		case 'l': opt.left_ns = optarg; break;
		case 'r': opt.right_ns = optarg; break;
		case 'w': opt.file = optarg; break;
		case 't': opt.seconds = strtoull(optarg, NULL, 10); break;
		case 'k': opt.skip = strtoull(optarg, NULL, 10); break;
		case 'n': opt.frames = strtoull(optarg, NULL, 10); break;
		case 's': opt.seed = strtoull(optarg, NULL, 10); break;
		case 'L': opt.loss = atof(optarg); break;
		case 'R': opt.reorder = atof(optarg); break;
		case 'D': opt.duplicate = atof(optarg); break;
		case 'v': ok &= parse_prefix(optarg, '=', opt.vlan, &opt.vlans); break;
		case 'V': ok &= parse_prefix(optarg, '@', opt.vanish, &opt.vanishes); break;
		case 'h': usage(stdout); exit(0);
		default: ok = 0;
		}
	if (!ok || !opt.left_ns || !opt.right_ns || !opt.file || !opt.seconds || !opt.frames) {
		usage(stderr);
		exit(2);
	}
}

static void report(void)
{
	fprintf(stderr,
		"wire: from left %llu, from right %llu, to left %llu, to right %llu, recorded %llu, tagged %llu, lost %llu,"
		" dropped by full lines %llu, from vanished %llu, held back %llu, duplicated %llu\n",
		(unsigned long long)count.in[LEFT], (unsigned long long)count.in[RIGHT], (unsigned long long)count.out[LEFT],
		(unsigned long long)count.out[RIGHT], (unsigned long long)count.recorded, (unsigned long long)count.tagged,
		(unsigned long long)count.lost, (unsigned long long)count.overflow, (unsigned long long)count.vanished,
		(unsigned long long)count.held, (unsigned long long)count.copied);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	random_state = opt.seed;
	struct sigaction action = { .sa_handler = on_signal };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	open_capture();
	struct pollfd taps[2] = { { .events = POLLIN }, { .events = POLLIN } };
	taps[LEFT].fd = open_tap(opt.left_ns);
	taps[RIGHT].fd = open_tap(opt.right_ns);

	uint64_t end_ns = start_ns + opt.seconds * NS_PER_S, now;
	while (!stop && count.recorded < opt.frames && (now = now_ns()) < end_ns) {
		while (queued && queue[0].due_ns <= now) {
			struct frame *f = pop();
			if (f->stage == BEFORE_TAP) {
				record(f, now);
				f->stage = AFTER_TAP;
				enter_segment(f, now);
			} else {
				enum side to = f->from == LEFT ? RIGHT : LEFT;
				if (write(taps[to].fd, f->data, f->len) == (ssize_t)f->len)
					count.out[to]++;
				free(f);
			}
			now = now_ns();
		}
		uint64_t wake = queued && queue[0].due_ns < end_ns ? queue[0].due_ns : end_ns;
		uint64_t wait_ns = wake > now ? wake - now : 0;
		if (wait_ns > 100 * NS_PER_MS)
			wait_ns = 100 * NS_PER_MS;
		struct timespec timeout = { .tv_nsec = (long)wait_ns };
		if (ppoll(taps, 2, &timeout, NULL) > 0)
			for (int side = LEFT; side <= RIGHT; side++)
				if (taps[side].revents & POLLIN)
					accept_frames(taps[side].fd, (enum side)side);
	}
	if (fclose(capture))
		die(opt.file);
	report();
	return 0;
}
