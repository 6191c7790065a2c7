// SPDX-License-Identifier: MIT
// A stand-in for respondd's header: what a module of it offers.
#pragma once

struct json_object;

typedef struct json_object *(*respondd_provider)(void);

struct respondd_provider_info {
    const char *request;
    const respondd_provider provider;
};

extern const struct respondd_provider_info respondd_providers[];
