/* SPDX-License-Identifier: MIT */
/* The module `_x25519`: RFC 7748 by BearSSL's constant-time C, straight into the caller's buffer.
 */
#include <stdint.h>
#include <string.h>

#include "bearssl_ec.h"
#include "py/runtime.h"

static unsigned char *key(mp_obj_t value, mp_uint_t access) {
    mp_buffer_info_t found;
    mp_get_buffer_raise(value, &found, access);
    if (found.len != 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("x25519 takes three buffers of 32 bytes"));
    }
    return found.buf;
}

/* BearSSL leaves its clamped copy of the scalar and the ladder's state below our frame. */
static MP_NOINLINE void wipe_stack(void) {
    volatile unsigned char below[2048];
    for (size_t i = 0; i < sizeof below; i++) {
        below[i] = 0;
    }
}

/* x25519(out, k, u): false where the result is all zero, by an OR over all bytes. The buffers may
 * be the same ones. */
static mp_obj_t x25519(mp_obj_t out, mp_obj_t k, mp_obj_t u) {
    unsigned char *result = key(out, MP_BUFFER_WRITE);
    const unsigned char *scalar = key(k, MP_BUFFER_READ);
    unsigned char point[32];
    memcpy(point, key(u, MP_BUFFER_READ), 32);
    br_ec_c25519_m31.mul(point, 32, scalar, 32, BR_EC_curve25519);
    wipe_stack();
    unsigned char any = 0;
    for (int i = 0; i < 32; i++) {
        result[i] = point[i];
        any |= point[i];
        ((volatile unsigned char *)point)[i] = 0;
    }
    return mp_obj_new_bool(any != 0);
}
static MP_DEFINE_CONST_FUN_OBJ_3(x25519_obj, x25519);

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__x25519)},
    {MP_ROM_QSTR(MP_QSTR_x25519), MP_ROM_PTR(&x25519_obj)},
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t mp_module__x25519 = {{&mp_type_module}, (mp_obj_dict_t *)&globals};
MP_REGISTER_MODULE(MP_QSTR__x25519, mp_module__x25519);
