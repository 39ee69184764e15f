/*
 * A PKCS#11 module with faults: forwards to the module named by SHIM_MODULE and misbehaves as the file
 * named by SHIM_CONTROL says, which is read again on every call. Counts calls in the file named by
 * SHIM_COUNTERS, which all processes map. For tests only.
 *
 * A line of the control file: ID FUNCTION ACTION ARGUMENT TIMES
 *   ID        below 1024, new for each rule: how often a rule was used is kept under it
 *   FUNCTION  such as C_Sign, or * for all
 *   TIMES     0 = for as long as the line is there
 * Actions are listed in before() and in the functions they belong to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef unsigned char byte_t;

/* PKCS#11 2.40, CK_FUNCTION_LIST: a version and 68 pointers in this order. */
enum {
  INITIALIZE, FINALIZE, GET_INFO, GET_FUNCTION_LIST, GET_SLOT_LIST, GET_SLOT_INFO, GET_TOKEN_INFO,
  GET_MECHANISM_LIST, GET_MECHANISM_INFO, INIT_TOKEN, INIT_PIN, SET_PIN, OPEN_SESSION, CLOSE_SESSION,
  CLOSE_ALL_SESSIONS, GET_SESSION_INFO, GET_OPERATION_STATE, SET_OPERATION_STATE, LOGIN, LOGOUT,
  CREATE_OBJECT, COPY_OBJECT, DESTROY_OBJECT, GET_OBJECT_SIZE, GET_ATTRIBUTE_VALUE,
  SET_ATTRIBUTE_VALUE, FIND_OBJECTS_INIT, FIND_OBJECTS, FIND_OBJECTS_FINAL, SIGN_INIT = 42, SIGN = 43,
  GENERATE_KEY_PAIR = 59, FUNCTIONS = 68
};

static const struct { int index; const char *name; } NAMES[] = {
  {INITIALIZE, "C_Initialize"}, {FINALIZE, "C_Finalize"}, {GET_SLOT_LIST, "C_GetSlotList"},
  {GET_TOKEN_INFO, "C_GetTokenInfo"}, {OPEN_SESSION, "C_OpenSession"},
  {CLOSE_SESSION, "C_CloseSession"}, {GET_SESSION_INFO, "C_GetSessionInfo"}, {LOGIN, "C_Login"},
  {LOGOUT, "C_Logout"}, {CREATE_OBJECT, "C_CreateObject"},
  {GET_ATTRIBUTE_VALUE, "C_GetAttributeValue"}, {FIND_OBJECTS_INIT, "C_FindObjectsInit"},
  {FIND_OBJECTS, "C_FindObjects"}, {FIND_OBJECTS_FINAL, "C_FindObjectsFinal"},
  {SIGN_INIT, "C_SignInit"}, {SIGN, "C_Sign"}, {GENERATE_KEY_PAIR, "C_GenerateKeyPair"},
};

struct attribute { ulong_t type; byte_t *value; ulong_t length; };
struct list { byte_t version[2]; void *function[FUNCTIONS]; };
struct shared { uint64_t calls[FUNCTIONS]; uint32_t used[1024]; };
/* What before() leaves for the function to do to its result. */
struct change { char action[32]; long argument; };

static struct list *real, ours;
static struct shared *shared;
static pthread_rwlock_t module_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static ulong_t last_session;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const char *name_of(int index) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (NAMES[i].index == index) return NAMES[i].name;
  return "?";
}

static int read_control(char *text, size_t size) {
  const char *path = getenv("SHIM_CONTROL");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  text[length < 0 ? 0 : length] = 0;
  return length > 0;
}

static int rule_is_there(unsigned id) {
  char text[4096], *line, *rest;
  unsigned other;
  if (!read_control(text, sizeof text)) return 0;
  for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
    if (sscanf(line, "%u", &other) == 1 && other == id) return 1;
  return 0;
}

/* Sleeps, and wakes early when the rule is taken away. */
static void stall(unsigned id, int64_t until) {
  while (now_ms() < until && rule_is_there(id)) usleep(2000);
}

static void close_all_sessions(void) {
  ulong_t slots[64], count = 64;
  if (((ulong_t(*)(byte_t, ulong_t *, ulong_t *))real->function[GET_SLOT_LIST])(1, slots, &count)) return;
  for (ulong_t i = 0; i < count; i++)
    ((ulong_t(*)(ulong_t))real->function[CLOSE_ALL_SESSIONS])(slots[i]);
}

/* What happens to the module behind everybody's back; no other call runs meanwhile. */
static void disrupt(const char *action) {
  pthread_rwlock_wrlock(&module_lock);
  if (!strcmp(action, "close-sessions")) close_all_sessions();
  if (!strcmp(action, "logout")) ((ulong_t(*)(ulong_t))real->function[LOGOUT])(last_session);
  if (!strcmp(action, "finalize")) ((ulong_t(*)(void *))real->function[FINALIZE])(NULL);
  if (!strcmp(action, "crash")) raise(SIGSEGV);
  pthread_rwlock_unlock(&module_lock);
}

/* Returns 1 when the call must return *rv at once. */
static int before(int index, struct change *change, ulong_t *rv) {
  char text[4096], *line, *rest, function[64], action[32];
  unsigned id;
  long long argument;
  unsigned times;
  memset(change, 0, sizeof *change);
  __atomic_add_fetch(&shared->calls[index], 1, __ATOMIC_SEQ_CST);
  if (!read_control(text, sizeof text)) return 0;
  for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (sscanf(line, "%u %63s %31s %lld %u", &id, function, action, &argument, &times) != 5) continue;
    if (id >= 1024 || (strcmp(function, "*") && strcmp(function, name_of(index)))) continue;
    if (times > 0) {
      uint32_t used = __atomic_fetch_add(&shared->used[id], 1, __ATOMIC_SEQ_CST);
      if (used >= times) continue;
    }
    if (!strcmp(action, "stall")) stall(id, now_ms() + argument);
    else if (!strcmp(action, "stall-until")) stall(id, argument);
    else if (!strcmp(action, "fail")) { *rv = (ulong_t)argument; return 1; }
    else if (!strcmp(action, "close-sessions") || !strcmp(action, "logout") ||
             !strcmp(action, "finalize") || !strcmp(action, "crash")) disrupt(action);
    else { strcpy(change->action, action); change->argument = (long)argument; }
  }
  return 0;
}

#define CALL(index, types, arguments) (((ulong_t(*) types)real->function[index]) arguments)
#define FORWARD(name, index, types, declared, arguments)                                               \
  static ulong_t name declared {                                                                       \
    struct change change;                                                                              \
    ulong_t rv;                                                                                        \
    if (before(index, &change, &rv)) return rv;                                                        \
    pthread_rwlock_rdlock(&module_lock);                                                               \
    rv = CALL(index, types, arguments);                                                                \
    pthread_rwlock_unlock(&module_lock);                                                               \
    return rv;                                                                                         \
  }

FORWARD(initialize, INITIALIZE, (void *), (void *a), (a))
FORWARD(finalize, FINALIZE, (void *), (void *a), (a))
FORWARD(get_slot_list, GET_SLOT_LIST, (byte_t, void *, void *), (byte_t a, void *b, void *c), (a, b, c))
FORWARD(close_session, CLOSE_SESSION, (ulong_t), (ulong_t a), (a))
FORWARD(get_session_info, GET_SESSION_INFO, (ulong_t, void *), (ulong_t a, void *b), (a, b))
FORWARD(login, LOGIN, (ulong_t, ulong_t, void *, ulong_t), (ulong_t a, ulong_t b, void *c, ulong_t d),
        (a, b, c, d))
FORWARD(logout, LOGOUT, (ulong_t), (ulong_t a), (a))
FORWARD(find_objects_init, FIND_OBJECTS_INIT, (ulong_t, void *, ulong_t),
        (ulong_t a, void *b, ulong_t c), (a, b, c))
FORWARD(find_objects, FIND_OBJECTS, (ulong_t, void *, ulong_t, void *),
        (ulong_t a, void *b, ulong_t c, void *d), (a, b, c, d))
FORWARD(find_objects_final, FIND_OBJECTS_FINAL, (ulong_t), (ulong_t a), (a))
FORWARD(sign_init, SIGN_INIT, (ulong_t, void *, ulong_t), (ulong_t a, void *b, ulong_t c), (a, b, c))
FORWARD(generate_key_pair, GENERATE_KEY_PAIR,
        (ulong_t, void *, void *, ulong_t, void *, ulong_t, void *, void *),
        (ulong_t a, void *b, void *c, ulong_t d, void *e, ulong_t f, void *g, void *h),
        (a, b, c, d, e, f, g, h))

static ulong_t open_session(ulong_t slot, ulong_t flags, void *a, void *b, ulong_t *session) {
  struct change change;
  ulong_t rv;
  if (before(OPEN_SESSION, &change, &rv)) return rv;
  pthread_rwlock_rdlock(&module_lock);
  rv = CALL(OPEN_SESSION, (ulong_t, ulong_t, void *, void *, ulong_t *), (slot, flags, a, b, session));
  if (rv == 0) last_session = *session;
  pthread_rwlock_unlock(&module_lock);
  return rv;
}

/* refuse-secret CKR: private keys are refused, other objects are not */
static ulong_t create_object(ulong_t session, struct attribute *a, ulong_t count, void *object) {
  struct change change;
  ulong_t rv;
  if (before(CREATE_OBJECT, &change, &rv)) return rv;
  for (ulong_t i = 0; i < count; i++)
    if (!strcmp(change.action, "refuse-secret") && a[i].type == 0x11) return (ulong_t)change.argument;
  pthread_rwlock_rdlock(&module_lock);
  rv = CALL(CREATE_OBJECT, (ulong_t, void *, ulong_t, void *), (session, a, count, object));
  pthread_rwlock_unlock(&module_lock);
  return rv;
}

/* token-flags N: these are set as well · max-sessions N: ulMaxSessionCount */
static ulong_t get_token_info(ulong_t slot, byte_t *info) {
  struct change change;
  ulong_t rv;
  if (before(GET_TOKEN_INFO, &change, &rv)) return rv;
  pthread_rwlock_rdlock(&module_lock);
  rv = CALL(GET_TOKEN_INFO, (ulong_t, void *), (slot, info));
  pthread_rwlock_unlock(&module_lock);
  ulong_t *numbers = (ulong_t *)(info + 96);
  if (rv == 0 && !strcmp(change.action, "token-flags")) numbers[0] |= (ulong_t)change.argument;
  if (rv == 0 && !strcmp(change.action, "max-sessions")) numbers[1] = (ulong_t)change.argument;
  return rv;
}

/*
 * raw-point 0: CKA_EC_POINT without its DER wrapping, as some vendors have it ·
 * attribute TYPE*256+BOOL: that attribute is this · no-attribute TYPE: the token does not know it
 */
static ulong_t get_attribute_value(ulong_t session, ulong_t object, struct attribute *a, ulong_t count) {
  struct change change;
  ulong_t rv;
  if (before(GET_ATTRIBUTE_VALUE, &change, &rv)) return rv;
  if (count == 1 && !strcmp(change.action, "no-attribute") && (long)a->type == change.argument) return 0x12;
  int raw = !strcmp(change.action, "raw-point") && count == 1 && a->type == 0x181;
  byte_t wrapped[128], *wanted = a->value;
  if (raw && wanted != NULL) { a->value = wrapped; a->length = sizeof wrapped; }
  pthread_rwlock_rdlock(&module_lock);
  rv = CALL(GET_ATTRIBUTE_VALUE, (ulong_t, ulong_t, void *, ulong_t), (session, object, a, count));
  pthread_rwlock_unlock(&module_lock);
  if (raw && rv == 0 && a->length == 67) {
    if (wanted != NULL) memcpy(wanted, wrapped + 2, 65);
    a->length = 65;
  }
  if (raw) a->value = wanted;
  if (count == 1 && rv == 0 && !strcmp(change.action, "attribute") &&
      (long)a->type == change.argument / 256 && a->value != NULL && a->length == 1)
    a->value[0] = (byte_t)(change.argument % 256);
  return rv;
}

static const byte_t ORDERS[2][32] = {
  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
   0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41},
  {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
   0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51},
};

/* Makes s the greater of s and n-s. */
static void make_high(byte_t *s, const byte_t *n) {
  byte_t other[32];
  int borrow = 0;
  for (int i = 31; i >= 0; i--) {
    int digit = n[i] - s[i] - borrow;
    borrow = digit < 0;
    other[i] = (byte_t)(digit & 0xff);
  }
  if (memcmp(other, s, 32) > 0) memcpy(s, other, 32);
}

/*
 * flip BIT · other-digest 0 · high-s 0|1 (K-256, P-256) · length N: only the first N bytes ·
 * lose CKR: signs, and then reports this
 */
static ulong_t sign(ulong_t session, byte_t *data, ulong_t length, byte_t *signature, ulong_t *size) {
  struct change change;
  ulong_t rv;
  if (before(SIGN, &change, &rv)) return rv;
  byte_t other[32] = {0};
  int is_other = !strcmp(change.action, "other-digest");
  pthread_rwlock_rdlock(&module_lock);
  rv = CALL(SIGN, (ulong_t, void *, ulong_t, void *, ulong_t *),
            (session, is_other ? other : data, length, signature, size));
  pthread_rwlock_unlock(&module_lock);
  if (rv != 0 || signature == NULL) return rv;
  if (!strcmp(change.action, "flip")) signature[change.argument / 8] ^= (byte_t)(1 << change.argument % 8);
  if (!strcmp(change.action, "high-s")) make_high(signature + 32, ORDERS[change.argument & 1]);
  if (!strcmp(change.action, "length")) *size = (ulong_t)change.argument;
  if (!strcmp(change.action, "lose")) return (ulong_t)change.argument;
  return rv;
}

static void map_counters(void) {
  const char *path = getenv("SHIM_COUNTERS");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof *shared) != 0) return;
  void *mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) shared = mapped;
  close(fd);
}

static ulong_t load(void) {
  const char *path = getenv("SHIM_MODULE");
  void *handle = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ulong_t (*get)(struct list **) = handle == NULL ? NULL : dlsym(handle, "C_GetFunctionList");
  if (get == NULL || get(&real) != 0) return 5;
  map_counters();
  if (shared == NULL) return 5;
  ours = *real;
  ours.function[INITIALIZE] = initialize;
  ours.function[FINALIZE] = finalize;
  ours.function[GET_SLOT_LIST] = get_slot_list;
  ours.function[GET_TOKEN_INFO] = get_token_info;
  ours.function[OPEN_SESSION] = open_session;
  ours.function[CLOSE_SESSION] = close_session;
  ours.function[GET_SESSION_INFO] = get_session_info;
  ours.function[LOGIN] = login;
  ours.function[LOGOUT] = logout;
  ours.function[CREATE_OBJECT] = create_object;
  ours.function[GET_ATTRIBUTE_VALUE] = get_attribute_value;
  ours.function[FIND_OBJECTS_INIT] = find_objects_init;
  ours.function[FIND_OBJECTS] = find_objects;
  ours.function[FIND_OBJECTS_FINAL] = find_objects_final;
  ours.function[SIGN_INIT] = sign_init;
  ours.function[SIGN] = sign;
  ours.function[GENERATE_KEY_PAIR] = generate_key_pair;
  return 0;
}

ulong_t C_GetFunctionList(struct list **list) {
  pthread_mutex_lock(&load_lock);
  ulong_t rv = real == NULL ? load() : 0;
  pthread_mutex_unlock(&load_lock);
  if (rv == 0) *list = &ours;
  return rv;
}
