/* main() where there is no libFuzzer: runs the target once for each file that is named. */
#include "input.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_BYTES (1 << 20)

static void run_file(const char *path) {
  FILE *file = fopen(path, "rb");
  uint8_t *bytes = malloc(MOST_BYTES);
  if (file == NULL || bytes == NULL) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(2);
  }
  size_t length = fread(bytes, 1, MOST_BYTES, file);
  fclose(file);
  uint8_t *exact = copy_of(bytes, length);
  free(bytes);
  LLVMFuzzerTestOneInput(exact, length);
  free(exact);
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    /* Named before it runs: after a crash nothing more is said. */
    fprintf(stderr, "%s\n", arguments[i]);
    run_file(arguments[i]);
  }
  printf("%d inputs ran\n", count - 1);
  return 0;
}
