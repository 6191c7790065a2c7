// SPDX-License-Identifier: MIT
// A stand-in for respondd: loads a module and prints what its providers of one request say.
// respondd MODULE REQUEST
#include <dlfcn.h>
#include <json-c/json.h>
#include <respondd.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    void *module = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    const struct respondd_provider_info *provider =
        module ? dlsym(module, "respondd_providers") : NULL;
    if (!provider) {
        fprintf(stderr, "respondd MODULE REQUEST: %s\n", dlerror());
        return 1;
    }
    for (; provider->request; provider++) {
        if (!strcmp(provider->request, argv[2])) {
            struct json_object *answer = provider->provider();
            puts(json_object_to_json_string(answer));
            json_object_put(answer);
        }
    }
    return 0;
}
