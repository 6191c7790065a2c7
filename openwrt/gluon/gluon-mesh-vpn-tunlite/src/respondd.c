// SPDX-License-Identifier: MIT
// What a node tells of its mesh VPN: nodeinfo {"software": {"tunlite": ...}} and statistics
// {"mesh_vpn": ...}, in the form of fastd's, which maps, dashboards and Gluon's status page read.
#include <errno.h>
#include <json-c/json.h>
#include <respondd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define STATUS "/var/run/tunlite/mesh-vpn.status"
#define NODEINFO "exec /lib/gluon/mesh-vpn/tunlite-nodeinfo"
#define VERSION "exec tunlite --version"

enum {
    LINE = 128,           // bytes of a line that a program prints
    DEADLINE_S = 2,       // a daemon that says nothing: others wait for respondd meanwhile
    STATUS_MOST = 1 << 20 // bytes of a status; it is about 1 KB a peer
};

// ---- programs

// The line without its end; empty when there is none.
static void read_line(FILE *program, char line[LINE]) {
    if (!program || !fgets(line, LINE, program)) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
}

static struct json_object *version(void) {
    char line[LINE];
    FILE *program = popen(VERSION, "r");
    read_line(program, line);
    if (program) {
        pclose(program);
    }
    const char *last = strrchr(line, ' '); // after the program's name
    return json_object_new_string(last ? last + 1 : line);
}

static struct json_object *nodeinfo(void) {
    char enabled[LINE], public_key[LINE];
    FILE *program = popen(NODEINFO, "r");
    read_line(program, enabled);
    read_line(program, public_key);
    if (program) {
        pclose(program);
    }

    struct json_object *tunlite = json_object_new_object();
    json_object_object_add(tunlite, "version", version());
    json_object_object_add(tunlite, "enabled", json_object_new_boolean(!strcmp(enabled, "1")));
    if (public_key[0]) {
        json_object_object_add(tunlite, "public_key", json_object_new_string(public_key));
    }
    struct json_object *software = json_object_new_object();
    json_object_object_add(software, "tunlite", tunlite);
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "software", software);
    return answer;
}

// ---- the daemon's status

// A socket to the daemon, or -1: none runs.
static int connect_status(void) {
    const struct timeval deadline = {.tv_sec = DEADLINE_S};
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = STATUS};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

// The one object that it says; NULL when it is none, cut off, too long or late.
static struct json_object *read_status(int fd) {
    struct json_tokener *parser = json_tokener_new();
    struct json_object *status = NULL;
    int left = STATUS_MOST;
    while (parser && !status && left > 0) {
        char part[4096];
        ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        status = json_tokener_parse_ex(parser, part, (int)got);
        if (!status && json_tokener_get_error(parser) != json_tokener_continue) {
            break;
        }
        left -= (int)got;
    }
    if (parser) {
        json_tokener_free(parser);
    }
    return status;
}

// ---- its peers, as fastd's provider has them

// object[name], made where it is not there.
static struct json_object *member(struct json_object *object, const char *name) {
    struct json_object *found;
    if (!json_object_object_get_ex(object, name, &found)) {
        found = json_object_new_object();
        json_object_object_add(object, name, found);
    }
    return found;
}

// A text of a peer's row, or `otherwise` where it is empty or not there.
static const char *text_of(struct json_object *row, const char *name, const char *otherwise) {
    struct json_object *found;
    if (json_object_object_get_ex(row, name, &found) &&
        json_object_is_type(found, json_type_string) && json_object_get_string_len(found)) {
        return json_object_get_string(found);
    }
    return otherwise;
}

// {"established": seconds}, or null. Numbers and objects alone: there are map servers that walk
// each text below mesh_vpn letter by letter, for ever.
static struct json_object *connection(struct json_object *row) {
    struct json_object *established, *standby;
    if (json_object_object_get_ex(row, "standby", &standby) && json_object_get_boolean(standby)) {
        return NULL; // the session of one that was left lives on for minutes
    }
    if (!json_object_object_get_ex(row, "established_s", &established) || !established) {
        return NULL;
    }
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "established", json_object_get(established));
    return answer;
}

static void add_peer(struct json_object *mesh_vpn, struct json_object *row) {
    const char *name = text_of(row, "description", text_of(row, "public_key", NULL));
    const char *group = text_of(row, "group", NULL);
    if (!name) {
        return;
    }
    if (group) {
        mesh_vpn = member(member(mesh_vpn, "groups"), group);
    }
    json_object_object_add(member(mesh_vpn, "peers"), name, connection(row));
}

static struct json_object *statistics(void) {
    struct json_object *answer = json_object_new_object();
    int fd = connect_status();
    if (fd < 0) {
        return answer;
    }
    struct json_object *status = read_status(fd);
    struct json_object *peers;
    close(fd);
    if (json_object_object_get_ex(status, "peers", &peers) &&
        json_object_is_type(peers, json_type_array)) {
        struct json_object *mesh_vpn = member(answer, "mesh_vpn");
        for (size_t i = 0; i < json_object_array_length(peers); i++) {
            add_peer(mesh_vpn, json_object_array_get_idx(peers, i));
        }
    }
    json_object_put(status);
    return answer;
}

const struct respondd_provider_info respondd_providers[] = {
    {"nodeinfo", nodeinfo},
    {"statistics", statistics},
    {NULL, NULL},
};
