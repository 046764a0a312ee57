import type { Kernel } from '@jupyterlab/services';

type Slot = (sender: unknown, value: unknown) => void;

/** A signal of Lumino's, as far as a listener sees it. */
class FakeSignal {
  readonly #slots = new Set<Slot>();

  connect(slot: Slot): void {
    this.#slots.add(slot);
  }

  disconnect(slot: Slot): void {
    this.#slots.delete(slot);
  }

  emit(value: unknown): void {
    for (const slot of this.#slots) {
      slot(this, value);
    }
  }

  get listening(): number {
    return this.#slots.size;
  }
}

/** A kernel's connection; it notes all that it is sent, in order. */
export class FakeKernel {
  readonly id = 'kernel';
  readonly info = Promise.resolve({});
  readonly iopubMessage = new FakeSignal();
  readonly statusChanged = new FakeSignal();
  readonly sent: unknown[] = [];
  handleComms = true;
  supportsSubshells = false;
  subshellStarted: Promise<void> = Promise.resolve();
  status = 'unknown';
  /** Comms that are open in the kernel, by id. */
  comms: Record<string, { target_name: string }> = {};
  #hello: ((comm: unknown, message: unknown) => void) | null = null;
  #closed: ((message: unknown) => void) | null = null;

  /** The connection as the code under test takes it. */
  get connection(): Kernel.IKernelConnection {
    return this as unknown as Kernel.IKernelConnection;
  }

  become(status: string): void {
    this.status = status;
    this.statusChanged.emit(status);
  }

  sayHello(data: unknown): void {
    this.#hello?.({}, { content: { data } });
  }

  publish(comm_id: string, data: unknown, msg_type = 'comm_msg'): void {
    this.iopubMessage.emit({ header: { msg_type }, content: { comm_id, data } });
  }

  closeComm(data: unknown): void {
    this.#closed?.({ content: { data } });
  }

  registerCommTarget(_target: string, callback: (comm: unknown, message: unknown) => void): void {
    this.#hello = callback;
  }

  requestCommInfo(): Promise<unknown> {
    this.sent.push('comm_info');
    return Promise.resolve({ content: { status: 'ok', comms: this.comms } });
  }

  createComm(target: string, id = 'new'): unknown {
    const { sent, subshellStarted } = this;
    const close = (callback: (message: unknown) => void): void => {
      this.#closed = callback;
    };
    return {
      isDisposed: false,
      commId: id,
      subshellStarted,
      set onClose(callback: (message: unknown) => void) {
        close(callback);
      },
      open: (data: unknown) => sent.push([target, id, 'open', data]),
      send: (data: unknown) => sent.push([target, id, 'send', data])
    };
  }
}
