/* SPDX-License-Identifier: MIT */
/* Control frames. */
#include "layer2/control.h"

#include <string.h>

#include "base/bytes.h"
#include "layer2/bridge.h"
#include "path/tx.h"
#include "tunlite.h"

enum {
    EACH_MS = 1000 / CONTROL_A_SECOND,
    ECHO_LEN = FRAME_HEADER + CONTROL_ECHO_BODY,
    PROBE_LEN = FRAME_HEADER + CONTROL_PATH_NUMBER,
    ANSWER_LEN = FRAME_HEADER + CONTROL_PATH_ANSWER_BODY,
    PROBES_MAX = 16, /* that an answer is waited for: more than a search has */
    PROBE_MAX = 65507 - TRANSPORT_OVERHEAD, /* of one datagram of IPv4, the shorter one */
};

/* ---- what comes -------------------------------------------------------------------------------
 */

/* At most CONTROL_A_SECOND at once, and one each EACH_MS. */
static bool has_answer(struct trunk *t, uint64_t now) {
    if (t->answers < now)
        t->answers = now;
    if (t->answers - now > EACH_MS * (CONTROL_A_SECOND - 1))
        return false;
    t->answers += EACH_MS;
    return true;
}

static enum drop answer(struct worker *w, struct peer *peer, struct bytes frame) {
    if (!has_answer(peer->trunk, w->now))
        return DROP_CONTROL_LIMITED;
    if (tx_quiet(w, &w->out, peer, frame))
        w->stats.counts[COUNT_CONTROL_ANSWERED]++;
    return DROP_NONE;
}

static enum drop answer_echo(struct worker *w, const struct packet *p) {
    uint8_t frame[ECHO_LEN];
    memcpy(frame, p->data, sizeof frame);
    frame[1] = CONTROL_ECHO_ANSWER;
    return answer(w, peer_of(p), (struct bytes){frame, sizeof frame});
}

static enum drop answer_probe(struct worker *w, const struct packet *p) {
    uint8_t frame[ANSWER_LEN] = {FRAME_CONTROL, CONTROL_PATH_ANSWER};
    memcpy(frame + FRAME_HEADER, p->data + FRAME_HEADER, CONTROL_PATH_NUMBER);
    store_le32(frame + PROBE_LEN, p->len + TRANSPORT_OVERHEAD);
    return answer(w, peer_of(p), (struct bytes){frame, sizeof frame});
}

static void raise(struct worker *w, struct peer *peer, uint32_t event) {
    events_raise(&w->events, &peer->way.raised, event);
}

static void echo_answered(struct worker *w, struct peer *peer, const uint8_t *body) {
    struct trunk *t = peer->trunk;
    if (!t->has_echo || memcmp(body, t->echo, CONTROL_ECHO_BODY) != 0)
        return; /* of an earlier one, or of one of control_keep_place */
    w->stats.counts[COUNT_ECHOES_ANSWERED]++;
    raise(w, peer, TL_PEER_ECHO);
}

/* One for each probe, so that a peer cannot wake Python whenever it likes. Those of several lengths
 * leave at once and so do their answers: Python is told the longest. */
static void path_answered(struct worker *w, struct peer *peer, const uint8_t *body) {
    struct trunk *t = peer->trunk;
    uint32_t number = load_le32(body);
    uint32_t len = load_le32(body + CONTROL_PATH_NUMBER);
    if (!t->probes)
        return;
    t->probes--;
    if (number != t->path_number || len > t->path_len)
        t->path_len = len;
    t->path_number = number;
    raise(w, peer, TL_PEER_PATH);
}

/* Python asks who said it whether it is there. */
static enum drop bye_came(struct worker *w, struct peer *peer) {
    if (!has_answer(peer->trunk, w->now))
        return DROP_CONTROL_LIMITED;
    bridge_set_gone(peer, true);
    raise(w, peer, TL_PEER_BYE);
    return DROP_NONE;
}

/* Bytes of what an answer or a bye has behind its two; a probe has any number. */
static bool has_length(const struct packet *p) {
    static const uint8_t body[] = {[CONTROL_ECHO] = CONTROL_ECHO_BODY,
                                   [CONTROL_ECHO_ANSWER] = CONTROL_ECHO_BODY,
                                   [CONTROL_PATH_ANSWER] = CONTROL_PATH_ANSWER_BODY,
                                   [CONTROL_BYE] = 0};
    if (p->data[1] == CONTROL_PATH_PROBE)
        return p->len >= PROBE_LEN;
    return p->data[1] < sizeof body && p->len == FRAME_HEADER + (uint32_t)body[p->data[1]];
}

enum drop control_take(struct worker *w, const struct packet *p) {
    const uint8_t *body = p->data + FRAME_HEADER;
    if (!has_length(p))
        return DROP_RECEIVED_BAD_CONTROL;
    switch (p->data[1]) {
    case CONTROL_ECHO:
        return answer_echo(w, p);
    case CONTROL_PATH_PROBE:
        return answer_probe(w, p);
    case CONTROL_ECHO_ANSWER:
        echo_answered(w, peer_of(p), body);
        return DROP_NONE;
    case CONTROL_PATH_ANSWER:
        path_answered(w, peer_of(p), body);
        return DROP_NONE;
    }
    return bye_came(w, peer_of(p));
}

/* ---- what goes --------------------------------------------------------------------------------
 */

bool control_is_sound(struct bytes frame) {
    if (frame.len < FRAME_HEADER || frame.p[0] != FRAME_CONTROL)
        return false;
    switch (frame.p[1]) {
    case CONTROL_ECHO:
        return frame.len == ECHO_LEN;
    case CONTROL_PATH_PROBE:
        return frame.len >= PROBE_LEN && frame.len <= PROBE_MAX;
    case CONTROL_BYE:
        return frame.len == FRAME_HEADER;
    default:
        return false;
    }
}

void control_expect(struct peer *peer, struct bytes frame) {
    struct trunk *t = peer->trunk;
    if (frame.p[1] == CONTROL_PATH_PROBE && t->probes < PROBES_MAX)
        t->probes++;
    if (frame.p[1] != CONTROL_ECHO)
        return;
    t->has_echo = true;
    memcpy(t->echo, frame.p + FRAME_HEADER, CONTROL_ECHO_BODY);
}

/* `at`: when it last was said; not again within `apart`. */
static void say(struct worker *w, struct peer *peer, uint64_t *at, uint32_t apart,
                struct bytes frame) {
    if (w->now >= *at + apart && tx_quiet(w, &w->out, peer, frame))
        *at = w->now;
}

void control_refuse(struct worker *w, struct peer *peer) {
    static const uint8_t bye[FRAME_HEADER] = {FRAME_CONTROL, CONTROL_BYE};
    say(w, peer, &peer->trunk->bye_at, BRIDGE_BYE_MS, (struct bytes){bye, sizeof bye});
}

void control_keep_place(struct worker *w, struct peer *peer) {
    static const uint8_t echo[ECHO_LEN] = {FRAME_CONTROL, CONTROL_ECHO};
    say(w, peer, &peer->trunk->sealed_at, BRIDGE_SEAL_MS, (struct bytes){echo, sizeof echo});
}

void control_confirm(struct worker *w, struct peer *peer) {
    say(w, peer, &peer->trunk->answered_at, BRIDGE_ANSWER_MS, (struct bytes){NULL, 0});
}
