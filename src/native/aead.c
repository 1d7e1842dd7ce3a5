/*
 * The batch cipher: seal packets into DATA datagrams, open them in place.
 *
 * ChaCha20-Poly1305 (RFC 8439) of the OpenSSL inside node, under the HChaCha20 subkey of keys.c,
 * which together is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2.3). The header's bytes are
 * written here and listed in PROTOCOL "DATA". The traps: a cipher context keeps the key that it was
 * last given (aead_forget), and OpenSSL compares no tag where none was set.
 *
 * Cost of the call sequence, a packet of 0 bytes, fastest of 40: this one 473 ns; giving the key
 * again for every row 526; EVP_Cipher for *Update no difference; EVP_CIPHER_CTX_ctrl for get_params
 * + 195.
 */
#include "iptun.h"

#include <endian.h>
#include <string.h>

/* --- The few EVP names in use (openssl/evp.h, openssl/params.h; OpenSSL 3). --- */

typedef struct evp_cipher_st EVP_CIPHER;
typedef struct engine_st ENGINE;
typedef struct ossl_param_st {
  const char *key;
  unsigned int data_type;
  void *data;
  size_t data_size;
  size_t return_size;
} OSSL_PARAM;

#define OSSL_PARAM_OCTET_STRING 5

EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
const EVP_CIPHER *EVP_chacha20(void);
const EVP_CIPHER *EVP_chacha20_poly1305(void);
int EVP_EncryptInit_ex2(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, const uint8_t *key,
                        const uint8_t *iv, const OSSL_PARAM *params);
int EVP_DecryptInit_ex2(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, const uint8_t *key,
                        const uint8_t *iv, const OSSL_PARAM *params);
int EVP_EncryptUpdate(EVP_CIPHER_CTX *context, uint8_t *out, int *length, const uint8_t *in,
                      int in_length);
int EVP_DecryptUpdate(EVP_CIPHER_CTX *context, uint8_t *out, int *length, const uint8_t *in,
                      int in_length);
int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *context, uint8_t *out, int *length);
int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *context, uint8_t *out, int *length);
int EVP_CIPHER_CTX_get_params(EVP_CIPHER_CTX *context, OSSL_PARAM params[]);
int EVP_CIPHER_CTX_set_params(EVP_CIPHER_CTX *context, const OSSL_PARAM params[]);
void ERR_clear_error(void);

#define HEADER_BYTES 16
#define TAG_BYTES 16
/* Header and tag of one datagram. */
#define OVERHEAD_BYTES (HEADER_BYTES + TAG_BYTES)
/* Bit 7 of the plaintext's first byte: its transport checksum is unfinished. */
#define UNFINISHED_CHECKSUM 0x80

/* --- Contexts. --- */

void aead_forget(struct instance *self) {
  /* EVP_CIPHER_CTX_free overwrites the provider's state, and with it the last key. */
  EVP_CIPHER_CTX_free(self->sealing);
  EVP_CIPHER_CTX_free(self->opening);
  self->sealing = NULL;
  self->opening = NULL;
}

typedef int cipher_init(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, const uint8_t *key,
                        const uint8_t *iv, const OSSL_PARAM *params);

/* Makes the context of one direction where there is none. 0 or -errno. */
static int need_context(EVP_CIPHER_CTX **context, cipher_init *init) {
  if (*context != NULL) return 0;
  *context = EVP_CIPHER_CTX_new();
  if (*context == NULL) return -ENOMEM;
  if (init(*context, EVP_chacha20_poly1305(), NULL, NULL, NULL) == 1) return 0;
  EVP_CIPHER_CTX_free(*context);
  *context = NULL;
  ERR_clear_error();
  return -EOPNOTSUPP;
}

int hchacha20(uint8_t subkey[32], const uint8_t key[32], const uint8_t input[16]) {
  static const uint8_t zeros[64];
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint8_t block[64];
  int length = 0;
  int result = -EOPNOTSUPP;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) return -ENOMEM;
  /* OpenSSL's 16-byte IV is counter and nonce, words 12 to 15, as HChaCha20's input is. The block
     is the permuted state plus the initial one; HChaCha20 wants rows 0 and 3 without that addition.
   */
  if (EVP_EncryptInit_ex2(context, EVP_chacha20(), key, input, NULL) == 1 &&
      EVP_EncryptUpdate(context, block, &length, zeros, sizeof zeros) == 1 && length == 64) {
    for (size_t i = 0; i < 4; i++) {
      uint32_t first, last, added;
      memcpy(&first, block + 4 * i, 4);
      memcpy(&last, block + 48 + 4 * i, 4);
      memcpy(&added, input + 4 * i, 4);
      first = htole32(le32toh(first) - constants[i]);
      last = htole32(le32toh(last) - le32toh(added));
      memcpy(subkey + 4 * i, &first, 4);
      memcpy(subkey + 16 + 4 * i, &last, 4);
    }
    result = 0;
  }
  if (result < 0) ERR_clear_error();
  EVP_CIPHER_CTX_free(context);
  explicit_bzero(block, sizeof block);
  return result;
}

/* Nonce of a datagram: four zero bytes, then the counter as its header holds it. */
static void nonce_of(uint8_t nonce[12], const uint8_t header[HEADER_BYTES]) {
  memset(nonce, 0, 4);
  memcpy(nonce + 4, header + 8, 8);
}

static void tag_params(OSSL_PARAM params[2], uint8_t *tag) {
  params[0] = (OSSL_PARAM){"tag", OSSL_PARAM_OCTET_STRING, tag, TAG_BYTES, 0};
  params[1] = (OSSL_PARAM){0};
}

struct batch {
  struct instance *self;
  struct bytes packets;
  struct bytes datagrams;
  int32_t slot_in_context; /* whose key the cipher context holds; -1: none */
};

/* The key to give to the context: NULL where it has it, which saves its set-up again. */
static const uint8_t *key_to_give(struct batch *batch, int32_t slot) {
  if (slot == batch->slot_in_context) return NULL;
  batch->slot_in_context = slot;
  return key_of(batch->self, slot);
}

/* --- Seal. --- */

static void write_header(uint8_t *header, const int32_t *row, uint64_t counter) {
  static const uint8_t type_and_version[4] = {4, 1};
  uint32_t receiver = htole32((uint32_t)row[SEAL_RECEIVER_INDEX]);
  counter = htole64(counter);
  memcpy(header, type_and_version, 4);
  memcpy(header + 4, &receiver, 4);
  memcpy(header + 8, &counter, 8);
}

/* Encrypts `length` bytes at `in` behind the header at `out` and adds the tag. `in` may be the
   place where the ciphertext goes. */
static bool seal_datagram(struct batch *batch, int32_t slot, uint8_t *out, const uint8_t *in,
                          int length) {
  EVP_CIPHER_CTX *context = batch->self->sealing;
  uint8_t *ciphertext = out + HEADER_BYTES;
  uint8_t nonce[12];
  OSSL_PARAM params[2];
  int ignored = 0;
  nonce_of(nonce, out);
  tag_params(params, ciphertext + length);
  if (EVP_EncryptInit_ex2(context, NULL, key_to_give(batch, slot), nonce, NULL) == 1 &&
      EVP_EncryptUpdate(context, NULL, &ignored, out, HEADER_BYTES) == 1 &&
      EVP_EncryptUpdate(context, ciphertext, &ignored, in, length) == 1 &&
      EVP_EncryptFinal_ex(context, ciphertext, &ignored) == 1 &&
      EVP_CIPHER_CTX_get_params(context, params) == 1)
    return true;
  batch->slot_in_context = -1;
  ERR_clear_error();
  return false;
}

/* Seals one row of one segment. Returns the bytes written, or -errno. */
static int seal_packet(struct batch *batch, const int32_t *row) {
  int32_t length = row[SEAL_IN_LENGTH];
  if (length > INT32_MAX - OVERHEAD_BYTES) return -EINVAL;
  uint8_t *in = slice(batch->packets, row[SEAL_IN_OFFSET], length);
  uint8_t *out = slice(batch->datagrams, row[SEAL_OUT_OFFSET], length + OVERHEAD_BYTES);
  uint64_t counter =
      (uint64_t)(uint32_t)row[SEAL_COUNTER_HIGH] << 32 | (uint32_t)row[SEAL_COUNTER_LOW];
  if (out == NULL || in == NULL || counter >> 48 != 0) return -EINVAL;
  bool is_unfinished = length > 0 && (row[SEAL_FLAGS] & PACKET_NEEDS_CHECKSUM) != 0;
  uint8_t first = length > 0 ? in[0] : 0;
  write_header(out, row, counter);
  /* The mark is set for the length of the call and taken back: one byte, where a copy would be all
     of them. Encrypted in place, that byte is ciphertext and stays. */
  if (is_unfinished) in[0] = first | UNFINISHED_CHECKSUM;
  bool is_sealed = seal_datagram(batch, row[SEAL_KEY_SLOT], out, in, length);
  if (is_unfinished && in != out + HEADER_BYTES) in[0] = first;
  return is_sealed ? length + OVERHEAD_BYTES : -EIO;
}

/* Seals one row. Returns 0 or -errno. A row of several segments goes its own way from here. */
static int seal_row(struct batch *batch, int32_t *row) {
  row[SEAL_OUT_LENGTH] = 0;
  if (key_of(batch->self, row[SEAL_KEY_SLOT]) == NULL) return -ENOKEY;
  if (row[SEAL_SEGMENTS] != 1) return -EINVAL;
  int length = seal_packet(batch, row);
  if (length < 0) return length;
  row[SEAL_OUT_LENGTH] = length;
  return 0;
}

static int seal_rows(struct batch *batch, int32_t *row, int32_t count) {
  int sealed = 0;
  for (int32_t i = 0; i < count; i++, row += SEAL_FIELDS) {
    row[SEAL_STATUS] = seal_row(batch, row);
    if (row[SEAL_STATUS] == 0) sealed++;
  }
  return sealed;
}

napi_value aead_seal(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "seal", 4);
  struct batch batch = {.self = call.self, .slot_in_context = -1};
  batch.packets = take_bytes(&call, 0);
  batch.datagrams = take_bytes(&call, 1);
  struct rows rows = take_rows(&call, 2);
  int32_t count = take_int(&call, 3);
  if (call.failed) return NULL;
  if (!holds_rows(rows, count, SEAL_FIELDS)) return give_int(&call, -EINVAL);
  int result = need_context(&call.self->sealing, EVP_EncryptInit_ex2);
  return give_int(&call, result < 0 ? result : seal_rows(&batch, rows.data, count));
}

/* --- Open. --- */

/* Decrypts in place. Returns whether the tag verified. */
static bool open_datagram(struct batch *batch, int32_t slot, uint8_t *datagram, int length) {
  EVP_CIPHER_CTX *context = batch->self->opening;
  uint8_t *text = datagram + HEADER_BYTES;
  uint8_t nonce[12];
  OSSL_PARAM params[2];
  int ignored = 0;
  nonce_of(nonce, datagram);
  tag_params(params, text + length);
  /* The tag goes in with every datagram: OpenSSL would compare nothing where none was set. */
  if (EVP_DecryptInit_ex2(context, NULL, key_to_give(batch, slot), nonce, params) == 1 &&
      EVP_DecryptUpdate(context, NULL, &ignored, datagram, HEADER_BYTES) == 1 &&
      EVP_DecryptUpdate(context, text, &ignored, text, length) == 1 &&
      EVP_DecryptFinal_ex(context, text, &ignored) == 1)
    return true;
  batch->slot_in_context = -1;
  /* Node reads this thread's error queue of OpenSSL: a forged packet must leave nothing in it. */
  ERR_clear_error();
  return false;
}

/* Opens one row. Returns the plaintext's length, OPEN_FAILED, or -errno. */
static int open_row(struct batch *batch, const int32_t *row) {
  if (row[OPEN_LENGTH] < OVERHEAD_BYTES) return -EINVAL;
  int32_t length = row[OPEN_LENGTH] - OVERHEAD_BYTES;
  uint8_t *datagram = slice(batch->datagrams, row[OPEN_OFFSET], row[OPEN_LENGTH]);
  if (datagram == NULL) return -EINVAL;
  if (key_of(batch->self, row[OPEN_KEY_SLOT]) == NULL) return -ENOKEY;
  return open_datagram(batch, row[OPEN_KEY_SLOT], datagram, length) ? length : OPEN_FAILED;
}

static int open_rows(struct batch *batch, int32_t *row, int32_t count) {
  int opened = 0;
  for (int32_t i = 0; i < count; i++, row += OPEN_FIELDS) {
    row[OPEN_STATUS] = open_row(batch, row);
    if (row[OPEN_STATUS] >= 0) opened++;
  }
  return opened;
}

napi_value aead_open(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, "open", 3);
  struct batch batch = {.self = call.self, .slot_in_context = -1};
  batch.datagrams = take_bytes(&call, 0);
  struct rows rows = take_rows(&call, 1);
  int32_t count = take_int(&call, 2);
  if (call.failed) return NULL;
  if (!holds_rows(rows, count, OPEN_FIELDS)) return give_int(&call, -EINVAL);
  int result = need_context(&call.self->opening, EVP_DecryptInit_ex2);
  return give_int(&call, result < 0 ? result : open_rows(&batch, rows.data, count));
}
