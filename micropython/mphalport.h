/* SPDX-License-Identifier: MIT */
/* Nothing here but what MicroPython's headers ask every port for. */
static inline void mp_hal_set_interrupt_char(char c) {
    (void)c;
}
