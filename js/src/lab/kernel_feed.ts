import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { faultOf } from '../model/fault';
import { Signal } from '../model/signal';
import { pageClock, TelemetryModel } from '../model/telemetry';
import {
  formatOpen,
  formatRenew,
  formatSet,
  HELLO_TARGET,
  isFrame,
  parseFrame,
  parseHello,
  TELEMETRY_TARGET
} from '../wire/comm';
import type { Fault } from '../wire/server';

/** A kernel that heard from this page so lately is not told again that it is there. */
const RENEW_AFTER_S = 20;

/** The parts of JupyterLab's comm that its interface leaves out. */
interface SubshellComm {
  readonly subshellStarted?: Promise<void>;
  readonly commsOverSubshells?: string;
}

/**
 * What a kernel tells of zlab's work.
 *
 * A kernel that is busy is told nothing but the answer to its own hello: each message would make
 * JupyterLab show it as idle while its cell runs. So frames are taken from all that the kernel
 * publishes, whichever page they were meant for; that also finds a stream which was open before
 * this page was loaded, when a question would wait for the cell to end.
 */
export class KernelFeed {
  readonly model = new TelemetryModel();
  readonly changed = new Signal();
  readonly #kernel: Kernel.IKernelConnection;
  #hz: number;
  #comm: Kernel.IComm | null = null;
  /** A stream that frames came on, whoever opened it. */
  #heard: string | null = null;
  #fault: Fault | null = null;
  #toldAt = -Infinity;
  #toldHz: number;
  #looked = false;
  #isKnown = false;

  constructor(kernel: Kernel.IKernelConnection, hz: number) {
    this.#kernel = kernel;
    this.#hz = hz;
    this.#toldHz = hz;
    kernel.registerCommTarget(HELLO_TARGET, (_comm, message) => {
      this.#take(() => {
        parseHello(message.content.data);
        this.#know();
        void this.#open();
      });
    });
    kernel.iopubMessage.connect(this.#onMessage, this);
    kernel.statusChanged.connect(this.#onStatus, this);
    this.#onStatus(kernel, kernel.status);
  }

  /** Why the kernel's messages cannot be understood; null if they can. */
  get fault(): Fault | null {
    return this.#fault;
  }

  /** Whether zlab was imported there. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  dispose(): void {
    this.#kernel.iopubMessage.disconnect(this.#onMessage, this);
    this.#kernel.statusChanged.disconnect(this.#onStatus, this);
  }

  /** Asks for another rate, when the kernel has time to listen. */
  setRate(hz: number): void {
    this.#hz = hz;
    this.#tell();
  }

  /** Says that somebody looks, when the kernel has time to listen. */
  renew(): void {
    this.#tell();
  }

  readonly #onMessage = (_: unknown, message: KernelMessage.IIOPubMessage): void => {
    if (message.header.msg_type !== 'comm_msg') {
      return;
    }
    const { comm_id, data } = message.content as KernelMessage.ICommMsgMsg['content'];
    if (isFrame(data)) {
      this.#heard = comm_id;
      this.#take(() => {
        this.model.push(parseFrame(data), pageClock());
      });
    }
  };

  readonly #onStatus = (_: unknown, status: Kernel.Status): void => {
    if (status === 'restarting' || status === 'autorestarting') {
      this.#comm = null;
      this.#heard = null;
      this.#isKnown = false;
    } else if (status === 'idle') {
      if (this.#looked) {
        this.#tell();
      } else {
        this.#looked = true;
        void this.#look();
      }
    }
  };

  /** Finds, in a kernel that was running before this page was, what it said before. */
  async #look(): Promise<void> {
    if (!this.#kernel.handleComms) {
      return;
    }
    const reply = await this.#kernel.requestCommInfo({});
    if (reply.content.status !== 'ok' || this.#comm !== null) {
      return;
    }
    const open = Object.entries(reply.content.comms);
    const idOf = (target: string): string | undefined =>
      open.find(([, { target_name }]) => target_name === target)?.[0];
    const stream = idOf(TELEMETRY_TARGET);
    if (stream !== undefined) {
      this.#know();
      this.#heard = stream;
      this.#tell();
    } else if (idOf(HELLO_TARGET) !== undefined) {
      this.#know();
      await this.#open();
    }
  }

  async #open(): Promise<void> {
    if (!this.#kernel.handleComms) {
      return;
    }
    const comm = this.#kernel.createComm(TELEMETRY_TARGET);
    this.#comm = comm;
    await this.#kernel.info;
    const { subshellStarted, commsOverSubshells } = comm as unknown as SubshellComm;
    // Without subshells the promise would never be kept.
    if (this.#kernel.supportsSubshells && commsOverSubshells !== 'disabled') {
      await subshellStarted;
    }
    if (!comm.isDisposed) {
      comm.onClose = message => {
        this.#onClose(message);
      };
      comm.open({ ...formatOpen(this.#hz) });
      this.#toldHz = this.#hz;
      this.#toldAt = pageClock();
    }
  }

  #know(): void {
    this.#isKnown = true;
    this.changed.emit();
  }

  #onClose(message: KernelMessage.ICommCloseMsg): void {
    this.#comm = null;
    const { message: words } = message.content.data as { message?: unknown };
    if (typeof words === 'string') {
      this.#fault = { message: words, reason: 'Refused', hint: null };
      this.changed.emit();
    }
  }

  /** Tells an idle kernel what it should know: that this page is there, and the rate. */
  #tell(): void {
    const isLate = pageClock() - this.#toldAt > RENEW_AFTER_S;
    const isOther = this.#hz !== this.#toldHz;
    if (this.#kernel.status !== 'idle' || !(isLate || isOther) || !this.#kernel.handleComms) {
      return;
    }
    if (this.#comm === null && this.#heard !== null) {
      this.#comm = this.#kernel.createComm(TELEMETRY_TARGET, this.#heard);
    }
    if (this.#comm !== null) {
      this.#toldAt = pageClock();
      this.#toldHz = this.#hz;
      this.#comm.send({ ...(isOther ? formatSet(this.#hz) : formatRenew()) });
    }
  }

  /** Takes a message in; one that cannot be understood is told to the user. */
  #take(take: () => void): void {
    const before = this.#fault;
    try {
      take();
      this.#fault = null;
    } catch (error) {
      this.#fault = faultOf(error);
    }
    if (this.#fault !== before) {
      this.changed.emit();
    }
  }
}
