/*
 * ChaCha20-Poly1305 (RFC 8439) through EVP, the public interface of the OpenSSL inside node.
 *
 * The way that works with every node, and the measure that chacha.c is held to. Also HChaCha20,
 * once a session. The traps: a cipher context keeps the key that it was last given (evp_forget);
 * OpenSSL compares no tag where none was set; and EVP_Cipher without input finishes nothing, so the
 * tag read after it is the one of the packet before.
 *
 * Cost of the call sequence, a packet of 0 bytes, fastest of 40: this one 473 ns; giving the key
 * again for every row 526; EVP_CIPHER_CTX_ctrl for get_params + 195.
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
void ERR_clear_error(void);

/* --- Contexts. --- */

void evp_forget(struct instance *self) {
  /* EVP_CIPHER_CTX_free overwrites the provider's state, and with it the last key. */
  EVP_CIPHER_CTX_free(self->sealing);
  EVP_CIPHER_CTX_free(self->opening);
  self->sealing = NULL;
  self->opening = NULL;
}

typedef int cipher_init(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, const uint8_t *key,
                        const uint8_t *iv, const OSSL_PARAM *params);

static int make_context(EVP_CIPHER_CTX **context, cipher_init *init) {
  if (*context != NULL) return 0;
  *context = EVP_CIPHER_CTX_new();
  if (*context == NULL) return -ENOMEM;
  if (init(*context, EVP_chacha20_poly1305(), NULL, NULL, NULL) == 1) return 0;
  EVP_CIPHER_CTX_free(*context);
  *context = NULL;
  ERR_clear_error();
  return -EOPNOTSUPP;
}

int evp_begin(struct instance *self) {
  int result = make_context(&self->sealing, EVP_EncryptInit_ex2);
  return result < 0 ? result : make_context(&self->opening, EVP_DecryptInit_ex2);
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

/* --- Seal and open. --- */

/* Nonce of a datagram: four zero bytes, then the counter as its header holds it. */
static void nonce_of(uint8_t nonce[12], const uint8_t header[HEADER_BYTES]) {
  memset(nonce, 0, 4);
  memcpy(nonce + 4, header + 8, 8);
}

static void tag_params(OSSL_PARAM params[2], uint8_t *tag) {
  params[0] = (OSSL_PARAM){"tag", OSSL_PARAM_OCTET_STRING, tag, TAG_BYTES, 0};
  params[1] = (OSSL_PARAM){0};
}

bool evp_seal(struct instance *self, const uint8_t *key, uint8_t *datagram, const uint8_t *in,
              int length) {
  EVP_CIPHER_CTX *context = self->sealing;
  uint8_t *ciphertext = datagram + HEADER_BYTES;
  uint8_t nonce[12];
  OSSL_PARAM params[2];
  int ignored = 0;
  nonce_of(nonce, datagram);
  tag_params(params, ciphertext + length);
  if (EVP_EncryptInit_ex2(context, NULL, key, nonce, NULL) == 1 &&
      EVP_EncryptUpdate(context, NULL, &ignored, datagram, HEADER_BYTES) == 1 &&
      EVP_EncryptUpdate(context, ciphertext, &ignored, in, length) == 1 &&
      EVP_EncryptFinal_ex(context, ciphertext, &ignored) == 1 &&
      EVP_CIPHER_CTX_get_params(context, params) == 1)
    return true;
  ERR_clear_error();
  return false;
}

bool evp_open(struct instance *self, const uint8_t *key, uint8_t *datagram, int length) {
  EVP_CIPHER_CTX *context = self->opening;
  uint8_t *text = datagram + HEADER_BYTES;
  uint8_t nonce[12];
  OSSL_PARAM params[2];
  int ignored = 0;
  nonce_of(nonce, datagram);
  tag_params(params, text + length);
  /* The tag goes in with every datagram: OpenSSL would compare nothing where none was set. */
  if (EVP_DecryptInit_ex2(context, NULL, key, nonce, params) == 1 &&
      EVP_DecryptUpdate(context, NULL, &ignored, datagram, HEADER_BYTES) == 1 &&
      EVP_DecryptUpdate(context, text, &ignored, text, length) == 1 &&
      EVP_DecryptFinal_ex(context, text, &ignored) == 1)
    return true;
  /* Node reads this thread's error queue of OpenSSL: a forged packet must leave nothing in it. */
  ERR_clear_error();
  return false;
}
