import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** What was not understood. */
export default function Quarantine() {
  const { t } = useI18n();
  return <PageTitle title={t("quarantine.title")} />;
}
