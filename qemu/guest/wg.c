/* SPDX-License-Identifier: MIT */
/*
 * wg setconf INTERFACE FILE: the one command of wireguard-tools that the guest's scenarios need,
 * for guests whose architecture Debian has no port for. Talks generic netlink to the kernel's
 * WireGuard; see linux/wireguard.h for the attributes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEY = 32, ROOM = 60000 };

static const size_t ATTRIBUTE_HEAD = sizeof(struct nlattr);
_Static_assert(sizeof(struct nlattr) == 4, "an attribute's value follows its head");

/* One netlink request being written; `at` is its length so far. */
struct request {
    union {
        struct nlmsghdr header;
        unsigned char bytes[ROOM + 4096];
    };
    size_t at;
};

static void die(const char *what) {
    fprintf(stderr, "wg: %s: %s\n", what, errno ? strerror(errno) : "not understood");
    exit(1);
}

static void begin(struct request *r, int family, int command) {
    memset(r, 0, sizeof *r);
    r->header.nlmsg_type = (uint16_t)family;
    r->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    struct genlmsghdr *generic = NLMSG_DATA(&r->header);
    generic->cmd = (uint8_t)command;
    generic->version = 1;
    r->at = NLMSG_LENGTH(sizeof *generic);
}

static struct nlattr *put(struct request *r, int type, const void *value, size_t length) {
    if (r->at > ROOM)
        die("too many peers for one message");
    struct nlattr *attribute = (struct nlattr *)(void *)(r->bytes + r->at);
    attribute->nla_type = (uint16_t)type;
    attribute->nla_len = (uint16_t)(ATTRIBUTE_HEAD + length);
    if (length)
        memcpy(r->bytes + r->at + ATTRIBUTE_HEAD, value, length);
    r->at += (size_t)NLA_ALIGN(attribute->nla_len);
    return attribute;
}

static struct nlattr *nest(struct request *r, int type) {
    return put(r, type | NLA_F_NESTED, NULL, 0);
}

static void close_nest(struct request *r, struct nlattr *attribute) {
    if (attribute)
        attribute->nla_len = (uint16_t)(r->bytes + r->at - (unsigned char *)attribute);
}

/* Sends the request and returns the first answer's payload, or ends the program. */
static size_t ask(int s, struct request *r, unsigned char *answer, size_t room) {
    r->header.nlmsg_len = (uint32_t)r->at;
    if (send(s, r->bytes, r->at, 0) < 0)
        die("send");
    ssize_t n = recv(s, answer, room, 0);
    if (n < 0)
        die("recv");
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)answer;
    if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        errno = -error->error;
        if (errno)
            die("the kernel refused");
    }
    return (size_t)n;
}

static int wireguard_family(int s) {
    static struct request r;
    static _Alignas(8) unsigned char answer[8192];
    begin(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    put(&r, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME, sizeof WG_GENL_NAME);
    size_t length = ask(s, &r, answer, sizeof answer);
    size_t at = NLMSG_LENGTH(sizeof(struct genlmsghdr));
    while (at + ATTRIBUTE_HEAD <= length) {
        const struct nlattr *attribute = (const struct nlattr *)(const void *)(answer + at);
        if (attribute->nla_type == CTRL_ATTR_FAMILY_ID) {
            uint16_t id;
            memcpy(&id, answer + at + ATTRIBUTE_HEAD, sizeof id);
            return id;
        }
        at += (size_t)NLA_ALIGN(attribute->nla_len);
    }
    die("this kernel has no WireGuard");
    return 0;
}

static void key_of(const char *text, unsigned char *key) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0;
    size_t out = 0;
    for (; *text && *text != '=' && out < KEY; text++) {
        const char *digit = strchr(alphabet, *text);
        if (!digit)
            die("a key");
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            key[out++] = (unsigned char)(bits >> have);
        }
    }
    if (out != KEY)
        die("a key");
}

static void put_endpoint(struct request *r, char *text) {
    char *colon = strrchr(text, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (!colon)
        die(text);
    *colon = '\0';
    to.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, text, &to.sin_addr) != 1)
        die(text);
    put(r, WGPEER_A_ENDPOINT, &to, sizeof to);
}

static void put_allowed_ip(struct request *r, char *text) {
    unsigned char address[16];
    uint16_t family = strchr(text, ':') ? AF_INET6 : AF_INET;
    char *slash = strchr(text, '/');
    if (!slash)
        die(text);
    *slash = '\0';
    uint8_t bits = (uint8_t)atoi(slash + 1);
    if (inet_pton(family, text, address) != 1)
        die(text);
    struct nlattr *entry = nest(r, 0);
    put(r, WGALLOWEDIP_A_FAMILY, &family, sizeof family);
    put(r, WGALLOWEDIP_A_IPADDR, address, family == AF_INET ? 4 : 16);
    put(r, WGALLOWEDIP_A_CIDR_MASK, &bits, sizeof bits);
    close_nest(r, entry);
}

static void put_allowed_ips(struct request *r, char *list) {
    struct nlattr *all = nest(r, WGPEER_A_ALLOWEDIPS);
    for (char *text = strtok(list, ", "); text; text = strtok(NULL, ", "))
        put_allowed_ip(r, text);
    close_nest(r, all);
}

/* The line's value, without blanks at its end, when the line sets `name`; NULL otherwise. */
static char *value_of(char *line, const char *name) {
    size_t length = strlen(name);
    if (strncmp(line, name, length) != 0 || line[length] != ' ')
        return NULL;
    char *value = strchr(line, '=');
    if (!value)
        return NULL;
    value += 1 + strspn(value + 1, " ");
    value[strcspn(value, "\r\n")] = '\0';
    return value;
}

static void read_config(struct request *r, FILE *file) {
    char line[512], *value;
    unsigned char key[KEY];
    uint32_t flags = WGDEVICE_F_REPLACE_PEERS;
    struct nlattr *peers = NULL, *peer = NULL;
    put(r, WGDEVICE_A_FLAGS, &flags, sizeof flags);
    while (fgets(line, sizeof line, file)) {
        if ((value = value_of(line, "PrivateKey"))) {
            key_of(value, key);
            put(r, WGDEVICE_A_PRIVATE_KEY, key, KEY);
        } else if ((value = value_of(line, "ListenPort"))) {
            uint16_t port = (uint16_t)atoi(value);
            put(r, WGDEVICE_A_LISTEN_PORT, &port, sizeof port);
        } else if (strncmp(line, "[Peer]", 6) == 0) {
            close_nest(r, peer);
            if (!peers)
                peers = nest(r, WGDEVICE_A_PEERS);
            peer = nest(r, 0);
        } else if ((value = value_of(line, "PublicKey"))) {
            key_of(value, key);
            put(r, WGPEER_A_PUBLIC_KEY, key, KEY);
        } else if ((value = value_of(line, "Endpoint"))) {
            put_endpoint(r, value);
        } else if ((value = value_of(line, "AllowedIPs"))) {
            put_allowed_ips(r, value);
        }
    }
    close_nest(r, peer);
    close_nest(r, peers);
}

int main(int argc, char **argv) {
    static struct request r;
    static _Alignas(8) unsigned char answer[8192];
    if (argc != 4 || strcmp(argv[1], "setconf") != 0) {
        fprintf(stderr, "usage: wg setconf INTERFACE FILE\n");
        return 1;
    }
    FILE *file = fopen(argv[3], "r");
    if (!file)
        die(argv[3]);
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    if (s < 0)
        die("socket");
    begin(&r, wireguard_family(s), WG_CMD_SET_DEVICE);
    put(&r, WGDEVICE_A_IFNAME, argv[2], strlen(argv[2]) + 1);
    read_config(&r, file);
    ask(s, &r, answer, sizeof answer);
    fclose(file);
    close(s);
    return 0;
}
