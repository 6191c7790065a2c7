/* SPDX-License-Identifier: MIT */
/* Tells the calls of a few turns of a program that is compiled with -finstrument-functions: on
 * stderr, a line each, "> address" where a function begins and "<" where it ends. */
#include <stdbool.h>
#include <stdio.h>

#include "turn/turn.h"

#define NOT_ITSELF __attribute__((no_instrument_function))

enum { BEGIN = 20, END = 29 }; /* some batches each way, when nothing is new any more */

static unsigned turns;
static bool tells;

NOT_ITSELF void __cyg_profile_func_enter(void *function, void *caller);
NOT_ITSELF void __cyg_profile_func_enter(void *function, void *caller) {
    (void)caller;
    if (function == (void *)turn)
        tells = turns >= BEGIN && turns < END;
    if (tells)
        fprintf(stderr, "> %p\n", function);
}

NOT_ITSELF void __cyg_profile_func_exit(void *function, void *caller);
NOT_ITSELF void __cyg_profile_func_exit(void *function, void *caller) {
    (void)caller;
    if (tells)
        fprintf(stderr, "<\n");
    if (function != (void *)turn)
        return;
    tells = false;
    turns++;
}
